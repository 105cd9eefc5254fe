//! `tenant`: which laboratories each tenant has. Its tokens see these, and no others.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::access::{DeskArgs, aligned, at_desk, labs_told, wrong_access};
use super::token::named;
use crate::access::book::AccessBook;
use crate::lake::Purpose;

/// What is asked for.
#[derive(Debug, clap::Subcommand)]
pub enum TenantAsk {
    /// Make a tenant, or give it other laboratories.
    Set(TenantSetArgs),
    /// Tell which tenants there are.
    List(TenantListArgs),
}

/// The arguments of `set`.
#[derive(Debug, clap::Args)]
pub struct TenantSetArgs {
    /// The tenant.
    name: String,
    /// Its laboratories, with commas between; `*` is every one.
    #[arg(long, value_name = "LABS", value_delimiter = ',', required = true)]
    labs: Vec<String>,
    #[command(flatten)]
    at: DeskArgs,
}

/// The arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct TenantListArgs {
    #[command(flatten)]
    at: DeskArgs,
}

/// Runs the command.
pub async fn run(ask: TenantAsk) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    match ask {
        TenantAsk::Set(args) => {
            let at = at_desk(&args.at, Purpose::Write).await?;
            let set = at.desk.set_tenant(&args.name, named(args.labs)?, &at.doer).await;
            let record = set.map_err(wrong_access)?;
            if args.at.json {
                writeln!(out, "{}", json!(record))?;
            } else {
                writeln!(out, "tenant {} has {}", record.name, labs_told(&record.labs))?;
            }
        }
        TenantAsk::List(args) => {
            let at = at_desk(&args.at, Purpose::Read).await?;
            let book = at.desk.read(&AccessBook::default()).await.map_err(wrong_access)?;
            let tenants = book.tenants.values().filter_map(|(_, record)| record.as_ref());
            if args.at.json {
                writeln!(out, "{}", json!(tenants.collect::<Vec<_>>()))?;
            } else {
                let mut rows = vec![vec!["TENANT".to_owned(), "LABS".to_owned()]];
                rows.extend(
                    tenants.map(|tenant| vec![tenant.name.clone(), labs_told(&tenant.labs)]),
                );
                out.write_all(aligned(&rows).as_bytes())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
