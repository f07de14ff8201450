//! Feeds, fetched one after the other and imported as files are.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Way;
use crate::cli::db::import;
use crate::cli::{CliError, output};
use crate::scan::Database;
use crate::scan::database::Builder;
use crate::time::{Clock as _, SystemClock, Timestamp};

/// Most feeds of one database.
const FEEDS_MAX: usize = 1_000;
/// Largest feed, in bytes: that of all ecosystems together takes about one gigabyte.
const FEED_BYTES_MAX: u64 = 4 << 30;
/// Longest time for one feed.
const FEED_TIME_MAX: Duration = Duration::from_mins(30);

/// Makes the database of the feeds at `urls`, and puts it at `to`.
///
/// # Errors
/// When one of them cannot be fetched or read, or the database is not taken; nothing is changed then.
pub(super) async fn update(
    way: &Way<'_>,
    urls: &[String],
    to: &Path,
) -> Result<Database, CliError> {
    if urls.len() > FEEDS_MAX {
        return Err(CliError::misused(format!("name 1 to {FEEDS_MAX} feeds")));
    }
    let folder = tempfile::Builder::new()
        .prefix("pratique-feeds-")
        .tempdir()
        .map_err(|error| CliError::failed("no temporary folder").caused_by(error))?;
    let mut builder = Builder::at(SystemClock.now());
    for (number, url) in urls.iter().enumerate() {
        // What a feed is is told by its name.
        let place = folder.path().join(number.to_string());
        let fetching = fetch(way, url, &place);
        let as_of = Box::pin(output::with_progress(url, "fetching", fetching)).await?;
        let name = url.rsplit('/').next().unwrap_or_default();
        let named = folder.path().join(format!("{number}-{name}"));
        let told = std::fs::rename(&place, &named)
            .map_err(|error| CliError::failed("the feed was not kept").caused_by(error))
            .and_then(|()| {
                import::add(&mut builder, &named, url, Some(as_of)).map_err(|error| {
                    CliError::unreachable(format!("{url} was not imported")).caused_by(error)
                })
            })?;
        if !way.connection.json {
            output::message(&told);
        }
        // Each feed may be large; the records are in the builder now.
        drop(std::fs::remove_file(&named));
    }
    import::made_of(builder, to, way.arguments.force)
}

/// Fetches the feed at `url` into the file `place`. Gives as of when it is: since when it is as it is
/// there, or now.
async fn fetch(way: &Way<'_>, url: &str, place: &Path) -> Result<Timestamp, CliError> {
    let failed = || CliError::unreachable(format!("{url} was not fetched"));
    let written = |error: std::io::Error| failed().caused_by(error);
    let (files, name) = way.files(url)?;
    let now = SystemClock.now();
    let work = async {
        let mut stream =
            files.open(name).await.map_err(|error| failed().caused_by(error))?.map_err(
                |status| CliError::unreachable(format!("{url} was answered with {status}")),
            )?;
        let mut file = File::create(place).map_err(written)?;
        let mut bytes = 0_u64;
        while let Some(piece) = stream.next().await.map_err(|error| failed().caused_by(error))? {
            bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            if bytes > FEED_BYTES_MAX {
                let text = format!("{url} is larger than {FEED_BYTES_MAX} bytes");
                return Err(CliError::unreachable(text));
            }
            file.write_all(&piece).map_err(written)?;
        }
        Ok(stream.modified().unwrap_or(now).min(now))
    };
    tokio::time::timeout(FEED_TIME_MAX, work).await.unwrap_or_else(|_elapsed| {
        let minutes = FEED_TIME_MAX.as_secs() / 60;
        Err(CliError::unreachable(format!("{url} was not fetched within {minutes} minutes")))
    })
}
