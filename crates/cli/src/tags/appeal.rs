//! `kuraban tags appeal`: the owner of a tagged address says why the tag is wrong. Writes the message to sign, checks the
//! signature, sends both to a screening service. Holds no key: a wallet signs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Subcommand;
use kuraban_api::{APPEAL_TEXT_BYTES_MAX, AppealSubmit, AppealView};
use kuraban_chain::btc::{
    Address, Network,
    message::{SignedAs, verify_message},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    fail::{Failure, OrFail as _},
    file,
    http::Client,
    input,
    say::{Answer, Lang, Report, Say, Side, table, tame},
    writer::{Refused, shown, taken},
};

/// Longest answer of a screening service that is read.
const ANSWER_MAX: usize = 32 * 1024 * 1024;
/// Longest signature in base64, with room for its prefix and line ends.
const SIGNATURE_TEXT_MAX: usize = 64 * 1024;
/// Bytes of a signature of the older form, which wallets call "sign message".
const OLDER_BYTES: usize = 65;

/// `kuraban tags appeal …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write an appeal and the message that the address' owner signs
    #[command(after_help = WRITE_HELP)]
    Write(Write),
    /// Check a signature over an appeal, without a network
    #[command(after_help = CHECK_HELP)]
    Check(Check),
    /// Send a signed appeal to the screening service
    #[command(after_help = SEND_HELP)]
    Send(Sending),
}

const WRITE_HELP: &str = "\
Asks the screening service which tag stands on the address and whose it is.
Without a network, say so yourself: --origin is the feed's origin or the
store's sha256, as `freshness` of a screening answer has it.

The wallet that holds the address signs the message by BIP 322, to the byte:
there is no line end after its last character. --message-file has it so.

Examples:
  kuraban tags appeal write bc1q… --chain btc --text why.txt \\
      --service http://screen.example:7400 --out appeal.json
  kuraban tags appeal write bc1q… --chain btc --text why.txt \\
      --origin tags.example/feed --from feed --case c-1 --feed-number 7 \\
      --out appeal.json --message-file message.txt";

const CHECK_HELP: &str = "\
Reads signatures of BIP 322, simple and full, in base64. Exit status 0 if the
owner of the address signed this appeal, 1 if not.

Example:
  kuraban tags appeal check appeal.json --signature AkcwRAIg…";

const SEND_HELP: &str = "\
Checks the signature first and sends nothing that does not hold. An appeal
takes no tag away: whoever keeps the tags decides. Exit status 0 if the
service took it, 1 if it refused.

Example:
  kuraban tags appeal send appeal.json --signature-file signature.txt \\
      --service http://screen.example:7400";

/// What to appeal against, and why.
#[derive(clap::Args)]
pub(crate) struct Write {
    /// The tagged address
    address: String,
    /// The chain: btc, ltc, or a network such as bitcoin-regtest
    #[arg(long)]
    chain: String,
    /// Why the tag is wrong: a text file of 1 to 4,000 bytes; - is standard input
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// The screening service that says what stands on the address
    #[arg(long, value_name = "URL", required_unless_present = "origin")]
    service: Option<String>,
    /// Whose tag it is, instead of asking
    #[arg(long, conflicts_with = "service", requires_all = ["from", "case"])]
    origin: Option<String>,
    /// The tag's `from`: a store's name, or feed
    #[arg(long)]
    from: Option<String>,
    /// The tag's case
    #[arg(long)]
    case: Option<String>,
    /// The tag's `feed_number`, if it is of a feed
    #[arg(long, value_name = "NUMBER")]
    feed_number: Option<u64>,
    /// Where the appeal is written
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write the message there too, byte for byte
    #[arg(long, value_name = "FILE")]
    message_file: Option<PathBuf>,
}

/// A signature in base64, or a file with it.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Given {
    /// The signature in base64
    #[arg(long, value_name = "BASE64")]
    signature: Option<String>,
    /// A file with it; - is standard input
    #[arg(long, value_name = "FILE")]
    signature_file: Option<PathBuf>,
}

/// What to check.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// The appeal, as `write` made it
    appeal: PathBuf,
    #[command(flatten)]
    given: Given,
}

/// What to send, and where.
#[derive(clap::Args)]
pub(crate) struct Sending {
    /// The appeal, as `write` made it
    appeal: PathBuf,
    #[command(flatten)]
    given: Given,
    /// The screening service
    #[arg(long, value_name = "URL")]
    service: String,
}

/// An appeal that nobody has signed yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    chain: String,
    address: String,
    from: String,
    case: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feed_number: Option<u64>,
    origin: String,
    text: String,
}

impl Draft {
    fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = input::bytes(path, input::FILE_MAX)?;
        let draft: Self = serde_json::from_slice(&bytes)
            .context("want an appeal as `kuraban tags appeal write` makes it")
            .or_input(path.display())?;
        owner(&draft.chain, &draft.address)?;
        Ok(draft)
    }

    fn submit(&self, signature: &str) -> AppealSubmit {
        let Self { chain, address, from, case, feed_number, text, .. } = self.clone();
        AppealSubmit { chain, address, from, case, feed_number, text, signature: signature.to_owned() }
    }

    fn message(&self) -> String {
        self.submit("").message(&self.origin)
    }
}

/// What of a screening answer matters here.
#[derive(Deserialize)]
struct Screened {
    hits: Vec<Hit>,
    freshness: Fresh,
}

#[derive(Deserialize)]
struct Hit {
    label: String,
    from: String,
    case: Option<String>,
    feed_number: Option<u64>,
}

#[derive(Deserialize)]
struct Fresh {
    stores: Vec<StoreView>,
    feed: Option<FeedView>,
}

#[derive(Deserialize)]
struct StoreView {
    name: String,
    sha256: String,
}

#[derive(Deserialize)]
struct FeedView {
    origin: String,
}

/// A tag that can be appealed against.
struct Standing {
    label: String,
    from: String,
    case: String,
    feed_number: Option<u64>,
    origin: String,
}

/// Runs `kuraban tags appeal …`.
pub(super) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Write(args) => write(&args, say),
        Command::Check(args) => check(&args, say),
        Command::Send(args) => send(&args, say),
    }
}

/// The network of a chain that signs by BIP 322, and the address on it.
fn owner(chain: &str, address: &str) -> Result<(Network, Address), Failure> {
    let network = match chain {
        "btc" => Network::BtcMain,
        "ltc" => Network::LtcMain,
        other => other.parse().map_err(|_| {
            Failure::input(format!(
                "chain {:?}: appeals are signed by BIP 322, want btc, ltc or a network such as bitcoin-regtest",
                tame(other)
            ))
        })?,
    };
    let address = Address::parse(network, address).or_input(tame(address))?;
    Ok((network, address))
}

fn write(args: &Write, say: &Say) -> Result<Report, Failure> {
    let chain = args.chain.to_ascii_lowercase();
    owner(&chain, &args.address)?;
    // As a wallet's field has it: lines end in LF, and nothing follows the last word.
    let text = input::text(&args.text, input::FILE_MAX)?.replace("\r\n", "\n").trim().to_owned();
    if !(1..=APPEAL_TEXT_BYTES_MAX).contains(&text.len()) {
        return Err(Failure::input(format!(
            "{}: the text has {} bytes, want 1 to {APPEAL_TEXT_BYTES_MAX}",
            args.text.display(),
            text.len()
        )));
    }
    let standing = match (&args.service, &args.origin, &args.from, &args.case) {
        (Some(service), ..) => match asked(args, service, &chain)? {
            Ok(standing) => standing,
            Err(problem) => return Ok(no(&problem, say)),
        },
        (None, Some(origin), Some(from), Some(case)) => Standing {
            label: String::new(),
            from: from.clone(),
            case: case.clone(),
            feed_number: args.feed_number,
            origin: origin.clone(),
        },
        (None, ..) => return Err(Failure::input("want --service, or --origin with --from and --case")),
    };
    let Standing { from, case, feed_number, origin, .. } = standing;
    // What stands on lines of their own in the message must not make further lines there.
    for (what, line) in [("from", &from), ("case", &case), ("origin", &origin)] {
        if line.is_empty() || line.chars().any(char::is_control) {
            let found = tame(line);
            return Err(Failure::input(format!(
                "{what} {found:?} cannot be signed for, want one line of text"
            )));
        }
    }
    let draft = Draft { chain, address: args.address.clone(), from, case, feed_number, origin, text };
    let message = draft.message();
    let mut json = serde_json::to_string_pretty(&draft).or_undone("the appeal cannot be written as JSON")?;
    json.push('\n');
    file::write(&args.out, json.as_bytes())?;
    if let Some(file) = &args.message_file {
        file::write(file, message.as_bytes())?;
    }
    let mut answer = json!(draft);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("message".to_owned(), message.clone().into());
    }
    say.show(say.lang().pick(
        "The message to sign by BIP 322, without a line end after its last character:",
        "BIP 322 で署名する文面（最後の文字の後に改行はありません）:",
    ))?;
    Ok(Report::done(&answer, message))
}

/// The one tag that is meant, or why it is not clear which.
fn asked(args: &Write, service: &str, chain: &str) -> Result<Result<Standing, String>, Failure> {
    let path = format!("v1/screen/{chain}/{}", args.address);
    let screened: Screened = shown(&path, Client::new(service)?.get(&path, ANSWER_MAX)?)?;
    let fresh = &screened.freshness;
    let origin = |from: &str| {
        let store = fresh.stores.iter().find(|store| store.name == from).map(|store| store.sha256.clone());
        store.or_else(|| fresh.feed.as_ref().filter(|_| from == "feed").map(|feed| feed.origin.clone()))
    };
    let standing = screened.hits.iter().filter_map(|hit| {
        let (case, origin) = (hit.case.clone()?, origin(&hit.from)?);
        let Hit { label, from, feed_number, .. } = hit;
        Some(Standing { label: label.clone(), from: from.clone(), case, feed_number: *feed_number, origin })
    });
    let meant = |standing: &Standing| {
        args.from.as_ref().is_none_or(|from| *from == standing.from)
            && args.case.as_ref().is_none_or(|case| *case == standing.case)
            && args.feed_number.is_none_or(|number| standing.feed_number == Some(number))
    };
    let mut meant: Vec<Standing> = standing.filter(meant).collect();
    // Several tags of one store for one case are appealed against together.
    meant.dedup_by(|one, other| {
        (&one.from, &one.case, one.feed_number) == (&other.from, &other.case, other.feed_number)
    });
    match meant.len() {
        1 => Ok(meant.pop().ok_or_else(String::new)),
        0 => Ok(Err(format!(
            "no tag of a case that fits stands on {}; {} tags were found there in all",
            args.address,
            screened.hits.len()
        ))),
        count => {
            let row = |one: &Standing| {
                let number =
                    one.feed_number.map_or_else(String::new, |number| format!("--feed-number {number}"));
                [
                    format!("--from {}", tame(&one.from)),
                    format!("--case {}", tame(&one.case)),
                    number,
                    tame(&one.label),
                ]
            };
            let rows: Vec<_> = meant.iter().map(row).collect();
            Ok(Err(format!(
                "{count} tags stand on {}, say which:\n{}",
                args.address,
                table([Side::Left; 4], &rows).trim_end()
            )))
        }
    }
}

fn no(problem: &str, say: &Say) -> Report {
    let refused = say.lang().pick("not done", "できません");
    Report::new(Answer::No, &json!({ "ok": false, "error": problem }), format!("{refused}: {problem}"))
}

/// The signature's text, without blanks.
fn signature(given: &Given) -> Result<String, Failure> {
    let text = match (&given.signature, &given.signature_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => input::text(file, SIGNATURE_TEXT_MAX)?,
        (None, None) => return Err(Failure::input("want --signature or --signature-file")),
    };
    Ok(text.split_whitespace().collect())
}

/// How the owner signed the appeal, or why that does not hold.
fn verified(draft: &Draft, signature: &str) -> Result<Result<SignedAs, String>, Failure> {
    let (network, address) = owner(&draft.chain, &draft.address)?;
    // The prefixes of the forms are of a later version of the BIP than most wallets.
    let plain = ["smp", "ful"].iter().find_map(|prefix| signature.strip_prefix(prefix)).unwrap_or(signature);
    let bytes = match STANDARD.decode(plain) {
        Ok(bytes) => bytes,
        Err(problem) => return Ok(Err(format!("the signature is no base64: {problem}"))),
    };
    if bytes.len() == OLDER_BYTES {
        return Ok(Err(format!(
            "the signature has {OLDER_BYTES} bytes: the older form, which is not read; sign by BIP 322 (simple or full)"
        )));
    }
    let signed = verify_message(network, &address.script(), draft.message().as_bytes(), &bytes);
    Ok(signed.map_err(|problem| format!("{:#}", anyhow::Error::new(problem))))
}

const fn form(signed_as: SignedAs) -> &'static str {
    match signed_as {
        SignedAs::Simple => "simple",
        SignedAs::Full => "full",
    }
}

fn check(args: &Check, say: &Say) -> Result<Report, Failure> {
    let draft = Draft::read(&args.appeal)?;
    match verified(&draft, &signature(&args.given)?)? {
        Ok(signed_as) => {
            let form = form(signed_as);
            let text = match say.lang() {
                Lang::En => format!("signed by {} ({form})", draft.address),
                Lang::Ja => format!("{} の署名を確認しました（{form}）", draft.address),
            };
            Ok(Report::done(&json!({ "ok": true, "signed_as": form, "message": draft.message() }), text))
        }
        Err(problem) => Ok(unsigned(&draft, &problem, say)),
    }
}

fn unsigned(draft: &Draft, problem: &str, say: &Say) -> Report {
    let message = draft.message();
    let json = json!({ "ok": false, "error": problem, "message": message });
    let text = match say.lang() {
        Lang::En => format!(
            "not signed by {}: {problem}\nThe message to sign is:\n{}",
            draft.address,
            tame_lines(&message)
        ),
        Lang::Ja => {
            format!(
                "{} の署名ではありません: {problem}\n署名する文面:\n{}",
                draft.address,
                tame_lines(&message)
            )
        }
    };
    Report::new(Answer::No, &json, text)
}

/// Text of several lines without what would steer a terminal.
fn tame_lines(text: &str) -> String {
    text.lines().map(tame).collect::<Vec<_>>().join("\n")
}

fn send(args: &Sending, say: &Say) -> Result<Report, Failure> {
    let client = Client::new(&args.service)?;
    let draft = Draft::read(&args.appeal)?;
    let signature = signature(&args.given)?;
    if let Err(problem) = verified(&draft, &signature)? {
        return Ok(unsigned(&draft, &problem, say));
    }
    let submit =
        serde_json::to_string(&draft.submit(&signature)).or_undone("the appeal cannot be written")?;
    let path = "v1/appeals";
    let answer: Result<AppealView, Refused> = taken(path, client.post(path, &[], submit, ANSWER_MAX)?)?;
    match answer {
        Ok(view) if view.appeal.text == draft.text && view.origin == draft.origin => {
            let number = view.number;
            let text = match say.lang() {
                Lang::En => {
                    format!("taken as appeal {number}; the tag stands until whoever keeps it takes it back")
                }
                Lang::Ja => format!("異議 {number} として受理されました。タグは管理者が取り消すまで有効です"),
            };
            Ok(Report::done(&view, text))
        }
        Ok(_) => Err(Failure::undone(format!("{path}: the service confirms another appeal than was sent"))),
        Err(refused) => {
            let text = format!(
                "{}: {} ({})",
                say.lang().pick("refused", "拒否されました"),
                refused.detail,
                refused.code
            );
            let json = json!({ "ok": false, "code": refused.code, "error": refused.detail });
            Ok(Report::new(Answer::No, &json, text))
        }
    }
}
