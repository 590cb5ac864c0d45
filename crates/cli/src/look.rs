//! A payout as an approver sees it: everything recomputed from the approver's own roster, policy and vault. The writer's
//! word counts for nothing but which signatures there are.

use std::collections::BTreeSet;

use anyhow::Context as _;
use kuraban_api::PayoutView;
use kuraban_base::{Amount, Instant, PayoutDigest, PersonId};
use kuraban_chain::btc::{Address, Script};
use kuraban_vault::{
    APPROVE, Approval, Approvals, Charter, Payout, PayoutKind, REQUEST, Reason, Rule,
    breaker::Breaker,
    judge::{Views, admit, imitation, shown},
    scripts::ScriptTable,
};
use serde::Serialize;

use crate::{
    input::shown_utc,
    judge::{Broken, listed},
    payout,
    say::{Lang, Side, grouped, table, tame},
};

/// Approvals of one group, had and wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Need {
    pub(crate) group: String,
    pub(crate) have: usize,
    pub(crate) want: u16,
}

/// A listed address that the destination looks like and is not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Likeness {
    address: String,
    prefix: usize,
    suffix: usize,
}

/// A payout, looked at with own eyes.
pub(crate) struct Look<'a> {
    charter: &'a Charter,
    pub(crate) payout: Payout,
    pub(crate) digest: PayoutDigest,
    pub(crate) requester: Option<PersonId>,
    pub(crate) approvers: BTreeSet<PersonId>,
    /// What every signer would refuse, whatever the transaction.
    pub(crate) reasons: Vec<Reason>,
    rule: Option<Rule>,
    /// How far it has come, in the writer's words; empty where the writer was not asked.
    pub(crate) status: String,
    now: Instant,
}

/// The same as JSON.
#[derive(Serialize)]
pub(crate) struct LookJson {
    id: String,
    kind: String,
    network: String,
    vault: String,
    destination: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
    amount: u64,
    amount_coins: String,
    fee_cap: u64,
    not_before_ms: u64,
    expiry_ms: u64,
    status: String,
    digest: String,
    rule: Option<String>,
    requester: Option<String>,
    approvers: Vec<String>,
    needs: Vec<Need>,
    imitates: Vec<Likeness>,
    reasons: Vec<Broken>,
}

impl<'a> Look<'a> {
    /// Looks at what the writer shows.
    pub(crate) fn at(charter: &'a Charter, view: &PayoutView, now: Instant) -> anyhow::Result<Self> {
        let payout = payout::parse(&view.payout).context("payout")?;
        anyhow::ensure!(
            payout.kind != PayoutKind::Evacuation,
            "evacuations need no approvals, only evidence"
        );
        let request = view.request.as_ref().map(|request| Approval::parse(&request.signature)).transpose();
        let approvals =
            view.approvals.iter().filter_map(|approval| Approval::parse(&approval.signature).ok());
        let mut look = Self::of(charter, payout, request.context("request")?.as_ref(), now)?;
        look.status = tame(&view.status);
        for approval in approvals {
            // A signature over anything but this digest is passed over: it approves something else.
            if let Ok(person) = approval.verify(charter.roster(), APPROVE, look.digest.as_bytes())
                && look.requester.as_ref() != Some(&person)
            {
                look.approvers.insert(person);
            }
        }
        Ok(look)
    }

    /// Looks at a payout with a request for it.
    pub(crate) fn of(
        charter: &'a Charter,
        payout: Payout,
        request: Option<&Approval>,
        now: Instant,
    ) -> anyhow::Result<Self> {
        let unknown = || format!("vault {} is not among the vaults given", payout.vault);
        let (vault, policy) = charter.vault(&payout.vault).with_context(unknown)?;
        // Admission looks at no script of the vault's own.
        let scripts = ScriptTable::new(&vault.descriptor, 0);
        let views = Views { vault, policy, roster: charter.roster(), scripts: &scripts };
        let digest = views.digest(&payout);
        let reasons = match request {
            Some(request) => admit(views, &Breaker::default(), &payout, request, now),
            None => vec![Reason::RequestUnsigned { problem: "there is no signature".to_owned() }],
        };
        let requester =
            request.and_then(|request| request.verify(charter.roster(), REQUEST, digest.as_bytes()).ok());
        let rule = policy.rule(payout.kind, payout.amount).cloned();
        Ok(Self {
            charter,
            payout,
            digest,
            requester,
            approvers: BTreeSet::new(),
            reasons,
            rule,
            status: String::new(),
            now,
        })
    }

    /// Approvals had and wanted, group by group.
    pub(crate) fn needs(&self) -> Vec<Need> {
        let need = |Approvals { group, count }: &Approvals| {
            let members = self.charter.roster().members(group);
            let have = members.map_or(0, |members| members.intersection(&self.approvers).count());
            Need { group: group.to_string(), have, want: *count }
        };
        self.rule.iter().flat_map(|rule| &rule.approvals).map(need).collect()
    }

    /// Whether an approval by this person counts for the rule that governs.
    pub(crate) fn counts(&self, person: &PersonId) -> bool {
        let in_group = |asked: &Approvals| {
            self.charter.roster().members(&asked.group).is_some_and(|members| members.contains(person))
        };
        self.rule.iter().flat_map(|rule| &rule.approvals).any(in_group)
    }

    /// The destination as people write it.
    pub(crate) fn destination(&self) -> String {
        shown(self.payout.network, &self.payout.destination)
    }

    /// Destinations that the vault's rules list, with the rules' names.
    fn known(&self) -> impl Iterator<Item = (&Script, &str)> {
        let policy = self.charter.vault(&self.payout.vault).map(|(_, policy)| policy);
        let rules = policy.into_iter().flat_map(|policy| &policy.rules);
        rules
            .flat_map(|rule| rule.destinations.iter().flatten().map(move |script| (script, rule.id.as_str())))
    }

    /// Known addresses that the destination looks like and is not.
    pub(crate) fn likenesses(&self) -> Vec<Likeness> {
        let destination = self.destination();
        let mut seen = BTreeSet::new();
        let scripts = self.known().map(|(script, _)| script).filter(|script| seen.insert(*script));
        let likeness = |script: &Script| {
            let address = Address::from_script(self.payout.network, script)?.to_string();
            let (prefix, suffix) = imitation(self.payout.network, &destination, &address)?;
            Some(Likeness { address, prefix, suffix })
        };
        scripts.filter_map(likeness).collect()
    }

    /// The look as JSON.
    pub(crate) fn to_json(&self) -> LookJson {
        let payout = &self.payout;
        LookJson {
            id: payout.id.to_string(),
            kind: payout.kind.to_string(),
            network: payout.network.to_string(),
            vault: payout.vault.to_string(),
            destination: self.destination(),
            memo: payout.memo.clone(),
            amount: payout.amount.to_u64().unwrap_or(u64::MAX),
            amount_coins: payout.amount.to_coins(payout.asset().decimals()),
            fee_cap: payout.fee_cap.to_u64().unwrap_or(u64::MAX),
            not_before_ms: payout.not_before.ms(),
            expiry_ms: payout.expiry.ms(),
            status: self.status.clone(),
            digest: self.digest.to_string(),
            rule: self.rule.as_ref().map(|rule| rule.id.clone()),
            requester: self.requester.as_ref().map(ToString::to_string),
            approvers: self.approvers.iter().map(ToString::to_string).collect(),
            needs: self.needs(),
            imitates: self.likenesses(),
            reasons: self.reasons.iter().map(Broken::of).collect(),
        }
    }

    /// The look as text.
    pub(crate) fn to_text(&self, lang: Lang) -> String {
        let payout = &self.payout;
        let amount = |amount: Amount| {
            let asset = payout.asset();
            let units = lang.pick("base units", "最小単位");
            format!("{} {asset} ({amount} {units})", amount.to_coins(asset.decimals()))
        };
        let names =
            |people: &BTreeSet<PersonId>| people.iter().map(PersonId::as_str).collect::<Vec<_>>().join(", ");
        let nobody = || lang.pick("nobody", "なし").to_owned();
        let row = |en, ja, value: String| [lang.pick(en, ja).to_owned(), value];
        let mut rows = vec![
            row("payout", "送金", payout.id.to_string()),
            row("kind", "種別", payout.kind.to_string()),
            row("vault", "金庫", format!("{} ({})", payout.vault, payout.network)),
            row("pays", "数量", amount(payout.amount)),
            row("to", "宛先", grouped(&self.destination())),
            row("", "", self.acquaintance(lang)),
            row("fee at most", "手数料上限", amount(payout.fee_cap)),
            row("valid from", "有効開始", shown_utc(payout.not_before)),
            row("expires", "期限", format!("{} ({})", shown_utc(payout.expiry), self.left(lang))),
            row("rule", "規則", self.rule.as_ref().map_or_else(nobody, |rule| tame(&rule.id))),
            row("asked by", "依頼者", self.requester.as_ref().map_or_else(nobody, ToString::to_string)),
            row("approved by", "承認者", names(&self.approvers)),
            row("still needed", "残りの承認", self.missing(lang)),
            row("digest", "ダイジェスト", self.digest.to_string()),
        ];
        if !self.status.is_empty() {
            rows.insert(1, row("status", "状態", self.status.clone()));
        }
        if let Some(memo) = &payout.memo {
            let at = if self.status.is_empty() { 5 } else { 6 };
            rows.insert(at, row("memo", "メモ", tame(memo)));
        }
        let mut text = table([Side::Left, Side::Left], &rows);
        for likeness in self.likenesses() {
            text += &self.warning(&likeness, lang);
        }
        if !self.reasons.is_empty() {
            let every = "\nevery signer will refuse it:\n";
            text += lang.pick(every, "\nどの署名機も拒否します:\n");
            text += &listed(&self.reasons, lang);
        }
        text
    }

    fn acquaintance(&self, lang: Lang) -> String {
        let listing = self.known().find(|(script, _)| **script == self.payout.destination);
        match listing {
            Some((_, rule)) => {
                format!("{} {}", lang.pick("listed by rule", "規則の宛先一覧にあり:"), tame(rule))
            }
            None => lang.pick("listed by no rule", "どの規則の宛先一覧にもなし").to_owned(),
        }
    }

    fn left(&self, lang: Lang) -> String {
        let left_s = self.payout.expiry.ms_since(self.now) / 1000;
        match (left_s / 3600, left_s / 60 % 60, lang) {
            (0, 0, Lang::En) => format!("{left_s} s left"),
            (0, 0, Lang::Ja) => format!("あと {left_s} 秒"),
            (hours, minutes, Lang::En) => format!("{hours} h {minutes} min left"),
            (hours, minutes, Lang::Ja) => format!("あと {hours} 時間 {minutes} 分"),
        }
    }

    fn missing(&self, lang: Lang) -> String {
        let needs = self.needs();
        let open = needs.iter().filter(|need| need.have < usize::from(need.want));
        let one = |need: &Need| {
            let missing = usize::from(need.want).saturating_sub(need.have);
            match lang {
                Lang::En => format!("{missing} of {}", need.group),
                Lang::Ja => format!("{} から {missing} 件", need.group),
            }
        };
        let missing: Vec<String> = open.map(one).collect();
        if missing.is_empty() { lang.pick("none", "なし").to_owned() } else { missing.join(", ") }
    }

    /// Both addresses, one above the other, with marks under the characters that differ.
    fn warning(&self, likeness: &Likeness, lang: Lang) -> String {
        let destination = self.destination();
        let (this, known) = (grouped(&destination), grouped(&likeness.address));
        let mut others = known.chars();
        let mark = |c: char| if others.next() == Some(c) { ' ' } else { '^' };
        let marks: String = this.chars().map(mark).collect();
        let head = lang.pick(
            "\nCAREFUL: the destination looks like a known address and is not it:\n",
            "\n注意: 宛先は既知のアドレスに似ていますが、別のものです:\n",
        );
        let rows = [
            [lang.pick("this", "今回").to_owned(), this],
            [String::new(), marks],
            [lang.pick("known", "既知").to_owned(), known],
        ];
        format!("{head}{}", table([Side::Left, Side::Left], &rows))
    }
}
