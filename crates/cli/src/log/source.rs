//! Where a log's tiles come from: a folder or a server. Brings bytes within their limits and believes none of them.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use clap::Args;
use kuraban_api::OpeningView;
use kuraban_proof::Resource;
use kuraban_vault::body::BODY_MAX;

use crate::{fail::Failure, http::Client, writer::shown};

/// Longest answer with what opens an entry: its body in hexadecimal, and a salt.
const OPENING_MAX: usize = 2 * BODY_MAX + 4096;

/// Where the log is.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// Where the log is served: checkpoint and tile/… stand below
    #[arg(long)]
    url: Option<String>,
    /// A folder with the log: checkpoint and tile/… stand in it
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// A log that can be read.
pub(crate) enum Source {
    Dir(PathBuf),
    Url(Client),
}

/// A resource that could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The log does not have it.
    #[error("the log does not serve it")]
    Absent,
    /// Longer than such a resource can be.
    #[error("it is longer than the {max} bytes that it may have")]
    Long {
        /// The limit.
        max: usize,
    },
    /// It could not be asked for.
    #[error("{problem}")]
    Failed {
        /// Why.
        problem: String,
    },
}

impl Place {
    /// Opens it.
    pub(crate) fn open(&self) -> Result<Source, Failure> {
        match (&self.url, &self.dir) {
            (Some(url), _) => Client::new(url).map(Source::Url),
            (None, Some(dir)) if dir.is_dir() => Ok(Source::Dir(dir.clone())),
            (None, Some(dir)) => Err(Failure::input(format!("{}: is not a folder", dir.display()))),
            (None, None) => Err(Failure::input("want --url or --dir")),
        }
    }
}

impl Source {
    /// A resource's bytes.
    pub(crate) fn read(&self, resource: Resource) -> Result<Vec<u8>, SourceError> {
        let max = resource.length_max();
        match self {
            Self::Dir(dir) => read_file(dir.join(resource.to_string()), max),
            Self::Url(client) => {
                let answer = client.get(&resource.to_string(), max);
                let answer = answer.map_err(|failure| SourceError::Failed { problem: failure.problem() })?;
                match answer.status {
                    200 => Ok(answer.body),
                    404 | 410 => Err(SourceError::Absent),
                    status => Err(SourceError::Failed { problem: format!("HTTP status {status}, want 200") }),
                }
            }
        }
    }

    /// What opens an entry's commitment; only the operator's own log serves it.
    pub(crate) fn opening(&self, index: u64) -> Result<OpeningView, Failure> {
        let Self::Url(client) = self else {
            return Err(Failure::input("what opens an entry is served by the writer: want --url"));
        };
        let path = format!("opening/{index}");
        shown(&path, client.get(&path, OPENING_MAX)?)
    }
}

fn read_file(path: PathBuf, max: usize) -> Result<Vec<u8>, SourceError> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            return SourceError::Absent;
        }
        SourceError::Failed { problem: format!("{}: {error}", path.display()) }
    };
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() > max { Err(SourceError::Long { max }) } else { Ok(bytes) }
}
