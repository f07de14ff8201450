//! `pratique node keep`: what a `DaemonSet` runs on each node.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::arguments::{KitArguments, configured};
use super::install::{told, wanted};
use super::open;
use super::taint::{self, TAINT, Taint};
use crate::cli::{CliError, client_runtime, output};
use crate::cluster::ACCOUNT_DIR;
use crate::doctor::NodeName;
use crate::node::install::{Plan, install};
use crate::node::verify::{Report, verify};
use crate::node::{Kit, place};
use crate::time::{Clock as _, SystemClock};

/// Shortest and longest time between two looks, in seconds.
const EVERY_SECONDS: std::ops::RangeInclusive<u64> = 1..=86_400;

/// Shown beneath the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  pratique node keep --mirror https://mirror.example:5000 --ca /etc/pratique/ca.pem --every 60
  pratique node keep --metrics-file /var/lib/node_exporter/pratique.prom
      What /etc/pratique/node.toml says, looked at every minute, with a gauge for each hole.
  pratique node keep --once
  pratique node keep --remove-taint --node-name worker-1
      In a pod: lets pods onto the node once it is closed (deploy/kubernetes/node-taint).

Writes one line for each change. What is in the way is told and left: it needs a person.";

/// What to keep, and how often to look.
#[derive(Debug, clap::Args)]
pub(crate) struct KeepArguments {
    #[command(flatten)]
    kit: KitArguments,
    /// The folder that holds the node's root
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(EVERY_SECONDS))]
    every: u64,
    /// Write gauges for Prometheus into this file
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Only look and tell, install nothing
    #[arg(long)]
    only_look: bool,
    /// Look once, and end
    #[arg(long)]
    once: bool,
    /// Take this taint off the node once it is closed, by the API server of the pod that this runs in
    /// [without a name: pratique.dev/unverified]
    #[arg(long, value_name = "KEY", num_args = 0..=1, default_missing_value = TAINT, value_parser = taint::key, requires = "node_name", conflicts_with = "only_look")]
    pub(super) remove_taint: Option<String>,
    /// The node as the cluster calls it, for --remove-taint
    #[arg(long, value_name = "NAME", requires = "remove_taint")]
    pub(super) node_name: Option<NodeName>,
    /// The folder with the account of the pod: token and ca.crt
    #[arg(long, value_name = "DIR", default_value = ACCOUNT_DIR)]
    pub(super) account: PathBuf,
}

/// What was so at the last look.
#[derive(Debug, Default)]
struct Kept {
    /// Each hole, as it was told.
    told: BTreeSet<String>,
    /// The last thing in the way.
    in_the_way: Option<String>,
    reinstalled: u64,
    has_looked: bool,
}

/// Looks until it is ended.
///
/// # Errors
/// When nothing says what the node should be.
pub(super) fn run(arguments: &KeepArguments) -> Result<(), CliError> {
    let kit = wanted(&arguments.kit, &arguments.root, None)?;
    let mut taint = Taint::of(arguments)?;
    client_runtime()?.block_on(async {
        let mut kept = Kept::default();
        loop {
            let is_closed = kept.look(arguments, &kit);
            let removed = match &mut taint {
                Some(taint) if is_closed => taint.remove().await,
                Some(_) | None => Ok(()),
            };
            if arguments.once {
                return removed;
            }
            tokio::time::sleep(Duration::from_secs(arguments.every)).await;
        }
    })
}

impl Kept {
    /// Looks, and does what is to be done; whether the node is closed then.
    fn look(&mut self, arguments: &KeepArguments, kit: &Kit) -> bool {
        let opened = match open::look(&arguments.root, SystemClock.now()) {
            Ok(opened) => opened,
            Err(error) => {
                output::message(&error.chain());
                None
            }
        };
        let mut report = verify(&arguments.root, kit);
        let is_as_said = configured(&arguments.root).is_ok_and(|found| found.as_ref() == Some(kit));
        if !arguments.only_look && (!report.closed || !is_as_said) && !kit.open && opened.is_none()
        {
            self.install(arguments, kit);
            report = verify(&arguments.root, kit);
        }
        self.tell(&report);
        if let Some(path) = &arguments.metrics_file
            && let Err(error) = place::replace(path, self.metrics(&report).as_bytes(), 0o644)
        {
            output::message(&format!("{} was not written: {error}", path.display()));
        }
        report.closed
    }

    fn install(&mut self, arguments: &KeepArguments, kit: &Kit) {
        let done = Plan::make(&arguments.root, kit, false)
            .and_then(|plan| install(&arguments.root, &plan));
        match done.map_err(told) {
            Ok(done) => {
                self.in_the_way = None;
                for path in done.written.iter().chain(&done.removed) {
                    self.reinstalled += 1;
                    output::message(&format!("installed {}", path.display()));
                }
                if let Some(command) = done.restart {
                    output::message(&format!("in force after: {command}"));
                }
            }
            Err(error) => {
                let text = error.chain();
                if self.in_the_way.as_ref() != Some(&text) {
                    output::message(&text);
                }
                self.in_the_way = Some(text);
            }
        }
    }

    fn tell(&mut self, report: &Report) {
        let line = |finding: &crate::node::verify::Finding| {
            format!("{} {}: {}", finding.code, finding.file.display(), finding.text)
        };
        let now: BTreeSet<String> = report.wrong().map(line).collect();
        for new in now.difference(&self.told) {
            output::message(&format!("hole {new}"));
        }
        for gone in self.told.difference(&now) {
            output::message(&format!("gone {gone}"));
        }
        if report.closed && (!self.has_looked || !self.told.is_empty()) {
            output::message(&format!(
                "closed: {} pulls from {}",
                report.runtime,
                report.mirrors.join(", ")
            ));
        }
        self.told = now;
        self.has_looked = true;
    }

    fn metrics(&self, report: &Report) -> String {
        let mut text = format!(
            "# HELP pratique_node_closed Whether the node pulls from the mirror and nowhere else.\n\
             # TYPE pratique_node_closed gauge\npratique_node_closed {}\n\
             # HELP pratique_node_installed_total Files that were installed again.\n\
             # TYPE pratique_node_installed_total counter\npratique_node_installed_total {}\n\
             # HELP pratique_node_hole Ways past the mirror, and what is broken.\n\
             # TYPE pratique_node_hole gauge\n",
            u8::from(report.closed),
            self.reinstalled
        );
        let label = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
        let holes: BTreeSet<String> = report
            .wrong()
            .map(|finding| {
                let file = label(&finding.file.to_string_lossy());
                format!("pratique_node_hole{{code=\"{}\",file=\"{file}\"}} 1\n", finding.code)
            })
            .collect();
        text.extend(holes);
        text
    }
}
