//! `token`: the tokens with which people and programs ask the API.

use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr;

use serde_json::json;

use super::WrongInput;
use super::access::{AtDesk, DeskArgs, aligned, at_desk, labs_told, wrong_access};
use crate::access::book::{AccessBook, TokenState};
use crate::access::desk::WantedToken;
use crate::access::record::TokenRecord;
use crate::access::role::Role;
use crate::access::secret::TokenText;
use crate::flow::{Span, Timestamp};
use crate::lake::Purpose;

/// What is asked for.
#[derive(Debug, clap::Subcommand)]
pub enum TokenAsk {
    /// Make a token; it is shown once.
    Create(CreateArgs),
    /// Tell which tokens there are, and when each was used last.
    List(TokenListArgs),
    /// End a token at once.
    Revoke(RevokeArgs),
    /// Make a token in the place of another; it is shown once.
    Rotate(RotateArgs),
}

/// The arguments of `create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// Whose it is; made with `--labs` where it is not known yet.
    #[arg(long, value_name = "TENANT")]
    tenant: String,
    /// What it may: viewer (figures and rows), operator (dead letters too), admin (columns about staff
    /// and the audit table too) or none.
    #[arg(long, value_name = "ROLE")]
    role: RoleWanted,
    /// Only these laboratories of the tenant, with commas between; `*` is every one [default: the tenant's]
    #[arg(long, value_name = "LABS", value_delimiter = ',')]
    labs: Option<Vec<String>>,
    /// Who of them uses it: a person, a program [default: the tenant]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// How long it lasts, as 90d, or never.
    #[arg(long, value_name = "SPAN", default_value = "90d")]
    expires: Lasting,
    #[command(flatten)]
    at: DeskArgs,
}

/// The arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct TokenListArgs {
    /// Only this tenant's.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    at: DeskArgs,
}

/// The arguments of `revoke`.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// The token's id: the digits between `tat_` and the next `_`, as `list` tells.
    id: String,
    #[command(flatten)]
    at: DeskArgs,
}

/// The arguments of `rotate`.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    /// The token's id, as `list` tells.
    id: String,
    /// How long the new one lasts, as 90d, or never.
    #[arg(long, value_name = "SPAN", default_value = "90d")]
    expires: Lasting,
    /// How long the old one is taken still.
    #[arg(long, value_name = "SPAN", default_value = "0s")]
    keep_old: Span,
    #[command(flatten)]
    at: DeskArgs,
}

/// A role, or none.
#[derive(Clone, Copy, Debug)]
struct RoleWanted(Option<Role>);

/// A span, or for ever.
#[derive(Clone, Copy, Debug)]
struct Lasting(Option<Span>);

impl FromStr for RoleWanted {
    type Err = String;

    fn from_str(text: &str) -> Result<RoleWanted, String> {
        if text == "none" {
            return Ok(RoleWanted(None));
        }
        text.parse().map(|role| RoleWanted(Some(role))).map_err(|error| format!("{error}, or none"))
    }
}

impl FromStr for Lasting {
    type Err = String;

    fn from_str(text: &str) -> Result<Lasting, String> {
        if text == "never" {
            return Ok(Lasting(None));
        }
        let span: Span = text.parse().map_err(|error| format!("{error}, or never"))?;
        if span <= Span(0) {
            return Err("it must last for a while; write 90d, or never".to_owned());
        }
        Ok(Lasting(Some(span)))
    }
}

impl Lasting {
    fn ends_at(self, now: Timestamp) -> Option<Timestamp> {
        self.0.map(|span| now.plus(span))
    }
}

/// Runs the command.
pub async fn run(ask: TokenAsk) -> anyhow::Result<ExitCode> {
    match ask {
        TokenAsk::Create(args) => create(args).await?,
        TokenAsk::List(args) => list(args).await?,
        TokenAsk::Revoke(args) => revoke(args).await?,
        TokenAsk::Rotate(args) => rotate(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let at = at_desk(&args.at, Purpose::Write).await?;
    let wanted = WantedToken {
        user: args.user.unwrap_or_else(|| args.tenant.clone()),
        tenant: args.tenant,
        role: args.role.0,
        labs: args.labs.map(named).transpose()?,
        expires_at: args.expires.ends_at(at.now()),
    };
    let (token, record) = at.desk.create(wanted, &at.doer).await.map_err(wrong_access)?;
    show(&token, &record, args.at.json)
}

/// Laboratories without blanks; at least one.
pub fn named(labs: Vec<String>) -> Result<Vec<String>, WrongInput> {
    let labs: Vec<String> = labs.iter().map(|lab| lab.trim().to_owned()).collect();
    if labs.is_empty() || labs.iter().any(String::is_empty) {
        let text = "--labs names no laboratory; write their ids with commas between, or `*`";
        return Err(WrongInput(text.to_owned()));
    }
    Ok(labs)
}

async fn rotate(args: RotateArgs) -> anyhow::Result<()> {
    let at = at_desk(&args.at, Purpose::Read).await?;
    let change = (args.expires.ends_at(at.now()), args.keep_old);
    let rotated = at.desk.rotate(&args.id, change, &at.doer).await;
    let (token, record) = rotated.map_err(wrong_access)?;
    show(&token, &record, args.at.json)
}

async fn revoke(args: RevokeArgs) -> anyhow::Result<()> {
    let at = at_desk(&args.at, Purpose::Read).await?;
    at.desk.revoke(&args.id, at.now(), &at.doer).await.map_err(wrong_access)?;
    let mut out = std::io::stdout();
    if args.at.json {
        let told = json!({ "id": args.id, "revoked_at": at.now().to_rfc3339() });
        writeln!(out, "{told}")?;
    } else {
        writeln!(out, "token {} is revoked; servers know within their --refresh", args.id)?;
    }
    Ok(())
}

/// The token alone on standard output, so that a script can keep it; about it on standard error.
fn show(token: &TokenText, record: &TokenRecord, as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if as_json {
        let mut told = record.told();
        told["token"] = json!(token.expose());
        writeln!(out, "{told}")?;
        return Ok(());
    }
    let until = record.expires_at.as_deref().unwrap_or("for ever");
    let role = record.role.map_or("no role, so that it is refused everywhere", Role::as_str);
    let mut told = std::io::stderr();
    writeln!(told, "token {} of {} ({role}), until {until}", record.id, record.tenant)?;
    writeln!(told, "it is shown this once; send it as `Authorization: Bearer …`")?;
    writeln!(out, "{}", token.expose())?;
    Ok(())
}

async fn list(args: TokenListArgs) -> anyhow::Result<()> {
    let at = at_desk(&args.at, Purpose::Read).await?;
    let book = at.desk.read(&AccessBook::default()).await.map_err(wrong_access)?;
    let records = book.tokens.values().flatten();
    let wanted =
        |record: &&TokenRecord| args.tenant.as_ref().is_none_or(|tenant| *tenant == record.tenant);
    let records: Vec<&TokenRecord> = records.filter(wanted).collect();
    let mut out = std::io::stdout();
    if args.at.json {
        let told: Vec<serde_json::Value> =
            records.iter().map(|record| as_json(&at, &book, record)).collect();
        writeln!(out, "{}", json!(told))?;
        return Ok(());
    }
    if records.is_empty() {
        writeln!(out, "{} keeps no token; `turnaround token create` makes one", at.lake)?;
        return Ok(());
    }
    let head = ["ID", "TENANT", "USER", "ROLE", "LABS", "UNTIL", "LAST USED", "STATE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(records.iter().map(|record| as_row(&at, &book, record)));
    out.write_all(aligned(&rows).as_bytes())?;
    Ok(())
}

fn state_told(state: TokenState) -> &'static str {
    match state {
        TokenState::Good => "good",
        TokenState::Expired(_) => "expired",
        TokenState::Revoked(_) => "revoked",
    }
}

fn as_json(at: &AtDesk, book: &AccessBook, record: &TokenRecord) -> serde_json::Value {
    let mut told = record.told();
    let used = book.used.get(&record.id).map(|at| at.to_rfc3339());
    told["last_used_at"] = json!(used);
    told["state"] = json!(state_told(book.state(record, at.now())));
    told
}

fn as_row(at: &AtDesk, book: &AccessBook, record: &TokenRecord) -> Vec<String> {
    let used = book.used.get(&record.id).map(|at| at.to_rfc3339());
    let labs = match &record.labs {
        Some(labs) => labs_told(labs),
        None => {
            let tenant = book.tenants.get(&record.tenant).and_then(|(_, record)| record.as_ref());
            tenant.map_or_else(|| labs_told(&[]), |tenant| labs_told(&tenant.labs))
        }
    };
    vec![
        record.id.clone(),
        record.tenant.clone(),
        record.user.clone(),
        record.role.map_or("none", Role::as_str).to_owned(),
        labs,
        record.expires_at.clone().unwrap_or_else(|| "for ever".to_owned()),
        used.unwrap_or_else(|| "never".to_owned()),
        state_told(book.state(record, at.now())).to_owned(),
    ]
}
