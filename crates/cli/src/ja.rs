//! The reasons in Japanese, for people. Codes and JSON stay as they are in every language.

use kuraban_vault::Reason;

/// One reason in Japanese.
#[expect(clippy::too_many_lines, reason = "one arm per reason")]
pub(crate) fn japanese(reason: &Reason) -> String {
    match reason {
        Reason::NotJudged { what } => format!("判断に必要な{}が渡されていません", missing(what)),
        Reason::OtherNetwork { found, want } => {
            format!("送金のチェーンは {found} ですが、金庫は {want} です")
        }
        Reason::OtherVault { found, want } => {
            format!("送金元の金庫は {found} ですが、この金庫は {want} です")
        }
        Reason::RequestUnsigned { problem } => format!("依頼に依頼者の署名がありません（{problem}）"),
        Reason::NoRule { kind, amount } => format!("種別 {kind}、数量 {amount} に当てはまる規則がありません"),
        Reason::DestinationNotListed { rule, destination } => {
            format!("規則 {rule} の宛先一覧に {destination} がありません")
        }
        Reason::AmountTooSmall { amount, min } => format!("数量 {amount} は下限 {min} 未満です"),
        Reason::LimitPerPayout { outflow, max } => {
            format!("一度に {outflow} が出ます。一回の上限は {max} です")
        }
        Reason::LimitRolling { before, outflow, max } => {
            format!("過去24時間の {before} に加えて {outflow} が出ます。合計の上限は {max} です")
        }
        Reason::NotYetValid { now, not_before } => {
            format!("現在 {now}、有効になるのは {not_before} からです")
        }
        Reason::Expired { now, expiry } => format!("現在 {now}、期限は {expiry} まででした"),
        Reason::ApprovalInvalid { problem } => format!("承認として読めない署名があります（{problem}）"),
        Reason::ApprovalOther { problem } => format!("別のものに対する承認があります（{problem}）"),
        Reason::ApprovalUnknownKey { key } => format!("承認の鍵 {key} は名簿の誰のものでもありません"),
        Reason::RequesterApproves { person } => {
            format!("{person} は依頼者なので、承認者には数えません")
        }
        Reason::ApprovalRepeated { person } => format!("{person} の承認が重複しています。一人分に数えます"),
        Reason::ApprovalsMissing { group, have, want } => {
            format!("グループ {group} の承認が {have} 件、必要数は {want} 件です")
        }
        Reason::TransactionForm { problem } => format!("取引の形が承認できるものではありません（{problem}）"),
        Reason::InputUnproven { input } => format!("入力 {input} の元の取引がなく、数量を確かめられません"),
        Reason::InputNotOwn { input } => format!("入力 {input} はこの金庫のものではありません"),
        Reason::PaymentMissing { destination, amount } => {
            format!("{destination} へ {amount} を払う出力がありません")
        }
        Reason::DestinationNotApproved { found, want } => {
            format!("宛先が {found} です。承認された宛先は {want} です")
        }
        Reason::DestinationImitates { found, want, prefix, suffix } => format!(
            "{found} は承認された {want} に似せてあります（先頭 {prefix} 文字と末尾 {suffix} 文字が同じ）"
        ),
        Reason::AmountNotApproved { found, want } => {
            format!("数量が {found} です。承認された数量は {want} です")
        }
        Reason::OutputUnknown { vout, value, destination } => {
            format!("出力 {vout} が {destination} へ {value} を払います。支払いでもお釣りでもありません")
        }
        Reason::ChangeRepeated { vout } => format!("出力 {vout} は二つ目のお釣りです"),
        Reason::ChangeDust { vout, value, min } => {
            format!("お釣りの出力 {vout} は {value} で、下限 {min} 未満です")
        }
        Reason::ChangeIndex { vout, index, max } => {
            format!("お釣りの出力 {vout} の番号は {index} です。お釣り用の番号は {max} までです")
        }
        Reason::FeeNegative { inputs, outputs } => {
            format!("入力 {inputs} より出力 {outputs} が多くなっています")
        }
        Reason::FeeAboveCap { fee, max } => format!("手数料 {fee} は上限 {max} を超えています"),
        Reason::FeeRateAboveCap { rate, max } => {
            format!("手数料率 {rate}（1,000 vB あたり）は上限 {max} を超えています")
        }
        Reason::EvacuationNotOrdered { problem } => format!("退避の常設指示に合いません（{problem}）"),
        Reason::EvacuationNoEvidence { problem } => format!("退避の根拠となる証拠がありません（{problem}）"),
        Reason::AttestationValue { amount, fee_cap } => {
            format!("証明は何も動かしません。数量 {amount}、手数料の上限 {fee_cap} は 0 でなければなりません")
        }
        Reason::AttestationChallenge { problem } => {
            format!("署名すべきチャレンジがないか、使えません（{problem}）")
        }
        Reason::AttestationMinable { problem } => {
            format!("証明の取引は決して採掘できないものでなければなりません（{problem}）")
        }
        Reason::BreakerClosed { stage } => format!("この資産の出金は遮断中です（{stage}）"),
        Reason::PayoutEnded { status } => format!("この送金はすでに終わっています（{status}）"),
        Reason::TransactionOther { earlier } => {
            format!("同じ送金で先に署名された {earlier} と両立してしまいます（二重払いの恐れ）")
        }
        Reason::LogNotWitnessed { problem } => {
            format!("ログのチェックポイントに証人の署名が足りません（{problem}）")
        }
        Reason::LogNotIncluded { problem } => format!("証人が署名したログに載っていません（{problem}）"),
        Reason::ClockDisagrees { own, witnesses } => {
            format!("自分の時計 {own} と証人の時計 {witnesses} が30秒を超えて食い違っています")
        }
        Reason::LeaseInvalid { problem } => format!("監視機の有効なリースがありません（{problem}）"),
        Reason::ReceiptLapsed { at, now } => {
            format!("現在 {now} です。受領書は {at} に出され、失効しています")
        }
        Reason::SignerFrozen { problem } => {
            format!("署名機は起動後に連署されたログを待っています（{problem}）")
        }
        Reason::SignerRestored { logged, stored } => format!(
            "ログにはこの署名機の受領書 {logged} がありますが、保存分は {stored} までです。ディスクが巻き戻されています"
        ),
    }
}

/// What was not given; in the judge's own words where there is no Japanese for it.
fn missing(what: &str) -> &str {
    match what {
        "the approvals" => "承認",
        "the log's proof" => "ログの証明",
        "the time" => "現在時刻",
        "the vault's state" => "金庫の状態",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_reason_stand_in_its_japanese() {
        let reason = Reason::DestinationImitates {
            found: "1B6rJR".into(),
            want: "1B6rJ6".into(),
            prefix: 5,
            suffix: 2,
        };
        let text = japanese(&reason);
        for want in ["1B6rJR", "1B6rJ6", "先頭 5 文字", "末尾 2 文字"] {
            assert!(text.contains(want), "{text} lacks {want}");
        }
    }
}
