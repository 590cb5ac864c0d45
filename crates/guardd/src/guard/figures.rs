//! Figures for Prometheus: counted where things happen, shown as text (exposition format 0.0.4). Decides nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

macro_rules! figures {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal $kind:literal $label:literal,)*) => {
        /// What is counted.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub(super) enum Figure { $($(#[doc = $doc])* $variant,)* }

        impl Figure {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn kind(self) -> &'static str {
                match self { $(Self::$variant => $kind,)* }
            }

            /// The name of its label; none, where it is empty.
            const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            fn help(self) -> String {
                let lines = match self { $(Self::$variant => concat!($($doc,)*),)* };
                lines.trim().to_owned()
            }
        }
    };
}

figures! {
    /// Entries in the log, on disk.
    LogSize = "kuraban_log_size" "gauge" "",
    /// Size of the latest checkpoint that a quorum co-signed.
    WitnessedSize = "kuraban_log_witnessed_size" "gauge" "",
    /// Entries logged by this process.
    Entries = "kuraban_log_entries_total" "counter" "kind",
    /// Groups put on disk by this process.
    Groups = "kuraban_log_groups_total" "counter" "",
    /// Microseconds that putting groups on disk took.
    PersistMicros = "kuraban_log_persist_microseconds_total" "counter" "",
    /// Whether the link to a machine stands.
    Link = "kuraban_link_up" "gauge" "machine",
    /// Height of the followed chain.
    Height = "kuraban_chain_height" "gauge" "network",
    /// Whether the node's chain is followed and the node can be relied on.
    Following = "kuraban_chain_following" "gauge" "network",
    /// Spendable coins of a vault.
    Coins = "kuraban_vault_coins" "gauge" "vault",
    /// Transactions handed to the node.
    Broadcasts = "kuraban_broadcasts_total" "counter" "network",
    /// Transactions that the node refused.
    BroadcastsRefused = "kuraban_broadcasts_refused_total" "counter" "network",
    /// HTTP answers by status.
    Http = "kuraban_http_answers_total" "counter" "status",
}

/// All figures of this process.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<BTreeMap<(Figure, String), u64>>);

impl Figures {
    /// Counts up.
    pub(super) fn add(&self, figure: Figure, label: &str, by: u64) {
        self.with(figure, label, |value| *value = value.saturating_add(by));
    }

    /// Sets a figure that goes up and down.
    pub(super) fn set(&self, figure: Figure, label: &str, to: u64) {
        self.with(figure, label, |value| *value = to);
    }

    fn with(&self, figure: Figure, label: &str, act: impl FnOnce(&mut u64)) {
        // Nothing panics half way through a change here.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(all.entry((figure, label.to_owned())).or_default());
    }

    /// All figures as text.
    pub(super) fn render(&self) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut text = String::new();
        for figure in Figure::ALL {
            let (name, label) = (figure.name(), figure.label());
            text += &format!("# HELP {name} {}\n# TYPE {name} {}\n", figure.help(), figure.kind());
            for ((_, value), count) in all.iter().filter(|((of, _), _)| of == figure) {
                // Labels are names of a closed alphabet, so none needs escaping.
                let labels =
                    if label.is_empty() { String::new() } else { format!("{{{label}=\"{value}\"}}") };
                text += &format!("{name}{labels} {count}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_their_labels() {
        let figures = Figures::default();
        figures.add(Figure::Entries, "payout.requested", 1);
        figures.add(Figure::Entries, "payout.requested", 2);
        figures.set(Figure::LogSize, "", 3);
        figures.set(Figure::LogSize, "", 2);
        let text = figures.render();
        let want = "# HELP kuraban_log_size Entries in the log, on disk.\n# TYPE kuraban_log_size gauge\nkuraban_log_size 2\n";
        assert!(text.starts_with(want), "{text}");
        assert!(text.contains("\nkuraban_log_entries_total{kind=\"payout.requested\"} 3\n"), "{text}");
    }
}
