//! Figures for Prometheus, in its text format.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli::CliError;
use crate::doctor::Report;

/// Readable by whoever collects, writable by the doctor alone.
const MODE: u32 = 0o644;

/// What `report` says as figures. Labels are of the report, whose texts are printable and bounded.
pub(super) fn text(report: &Report) -> String {
    let mut worst: BTreeMap<(&str, &str, &str), u8> = BTreeMap::new();
    for finding in &report.findings {
        // The port of the decoy is another each time, and would make a new series of each look.
        let about = match finding.about.split_once(':') {
            Some((host @ ("127.0.0.1" | "localhost"), _)) => host,
            _ => finding.about.as_str(),
        };
        let figure = worst.entry((finding.way.as_str(), finding.by.as_str(), about)).or_default();
        *figure = (*figure).max(finding.state.figure());
    }
    let mut text = String::from(
        "# HELP pratique_node_way_open A way around the mirror: 0 closed, 1 not proven or weak, 2 open.\n\
         # TYPE pratique_node_way_open gauge\n",
    );
    let node = label(report.node.as_str());
    for ((way, by, about), figure) in worst {
        let (by, about) = (label(by), label(about));
        text.extend([format!(
            "pratique_node_way_open{{node=\"{node}\",way=\"{way}\",by=\"{by}\",about=\"{about}\"}} {figure}\n"
        )]);
    }
    let seconds = report.at.milliseconds() / 1000;
    text.extend([format!(
        "# HELP pratique_node_doctor_last_run_timestamp_seconds When the ways were last tried.\n\
         # TYPE pratique_node_doctor_last_run_timestamp_seconds gauge\n\
         pratique_node_doctor_last_run_timestamp_seconds{{node=\"{node}\"}} {seconds}\n"
    )]);
    text
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}

/// Puts `text` at `path` in one step: a collector never sees half of it.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let placed = || -> std::io::Result<()> {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(MODE))?;
        file.persist(path)?;
        Ok(())
    };
    placed().map_err(|error| {
        CliError::failed(format!("the figures were not written to {}", path.display()))
            .caused_by(error)
    })
}
