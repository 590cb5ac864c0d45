//! The answer of a PostgreSQL database, as the CSV that `COPY` writes. Decides which connections and columns are allowed: this machine
//! alone, for there is no TLS here, in a transaction that only reads, and no floating point number, which is not exact.

use std::io::Read;

use anyhow::Context as _;
use postgres::{Config, NoTls, config::Host, types::Type};

use crate::{
    fail::{Failure, OrFail as _},
    say::Say,
};

const PASSWORD: &str = "PGPASSWORD";

/// Asks, and hands the rows on as CSV with a first line of names.
pub(super) fn answer(
    parameters: &str,
    query: &str,
    say: &Say,
    read: impl FnOnce(&mut dyn Read) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let config = parsed(parameters).or_input("--postgres")?;
    let mut client = config.connect(NoTls).or_undone("the database cannot be reached")?;
    let query = query.trim().trim_end_matches(';');
    let mut transaction = client.build_transaction().read_only(true).start().or_undone("the database")?;
    let settings = transaction.batch_execute("set local datestyle = 'ISO'; set local timezone = 'UTC'");
    settings.or_undone("the database")?;
    let statement = transaction.prepare(query).map_err(told).or_input("--query")?;
    for column in statement.columns() {
        let of = column.type_();
        if [Type::FLOAT4, Type::FLOAT8, Type::MONEY].contains(of) {
            let name = column.name();
            return Err(Failure::input(format!(
                "--query: column {name} is of type {of}, which is not exact; want numeric, a whole number or text"
            )));
        }
    }
    let bar = say.spinner("PostgreSQL");
    let copy = format!("copy ({query}) to stdout with (format csv, header true)");
    let mut rows = transaction.copy_out(&copy).map_err(told).or_input("--query")?;
    let outcome = read(&mut rows).or_input("the database's answer");
    bar.finish_and_clear();
    outcome
}

fn parsed(parameters: &str) -> anyhow::Result<Config> {
    let mut config: Config = parameters.parse()?;
    anyhow::ensure!(
        config.get_password().is_none(),
        "has a password, which other programs of this machine can see; give it in {PASSWORD}"
    );
    let here = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        Host::Unix(_) => true,
    };
    anyhow::ensure!(!config.get_hosts().is_empty(), "names no host");
    anyhow::ensure!(
        config.get_hosts().iter().all(here)
            && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback),
        "names another machine, to which nothing is encrypted here; forward its port to this machine with ssh -L"
    );
    if let Some(password) = std::env::var_os(PASSWORD) {
        let password = password.into_string().ok().with_context(|| format!("{PASSWORD} is not UTF-8"))?;
        config.password(password);
    }
    Ok(config)
}

/// What the database says itself, which the error's own text leaves out.
fn told(problem: postgres::Error) -> anyhow::Error {
    let said = problem.as_db_error().map(|said| said.message().to_owned());
    said.map_or_else(|| anyhow::Error::new(problem), anyhow::Error::msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_go_to_this_machine_alone_and_without_a_password_in_sight() {
        let check = |parameters: &str, want: Option<&str>| {
            let problem = parsed(parameters).err().map(|problem| problem.to_string());
            assert_eq!(problem.is_some(), want.is_some(), "{parameters}: {problem:?}");
            assert!(problem.unwrap_or_default().contains(want.unwrap_or_default()), "{parameters}");
        };
        for good in [
            "host=localhost user=a",
            "host=127.0.0.2 user=a",
            "host=::1 user=a",
            "host=/run/postgresql user=a",
        ] {
            check(good, None);
        }
        check("user=a", Some("names no host"));
        check("host=db.example user=a", Some("names another machine"));
        check("host=localhost,192.0.2.1 user=a", Some("names another machine"));
        check("host=localhost hostaddr=192.0.2.1 user=a", Some("names another machine"));
        check("host=localhost user=a password=x", Some("give it in PGPASSWORD"));
        check("host", Some(""));
    }
}
