//! Looking at the folder with approval files, again and again.
//!
//! Two mistakes are possible, and they are not alike. A file that was taken away and goes on counting serves what
//! its signer no longer stands behind; a mount that is not there for a moment and counts as "all taken away" stops
//! a cluster. So a folder that is read whole and has any file in it is taken at its word, however much is missing
//! from it, once it was so for several looks; one that cannot be read whole, or has no file at all, is taken for
//! one that is not there: what stood goes on standing, no new file counts, and that is said until it is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{error, info, warn};

use super::super::Desk;
use super::counting::Outcome;
use super::folder::{self, Folder, Found};
use super::view::{ApprovalFileState as State, ApprovalFileView};
use crate::ledger::{RestsOnFiles, Withdrawal};
use crate::mirror::approval_file::Said;
use crate::oci::Digest;
use crate::policy::PolicyId;

/// How often the folder is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How many looks in a row a file has to be missing until what it said is taken back: a checkout that replaces
/// files one by one has moments without some.
const MISSING_LOOKS: u32 = 3;
/// After so many looks everything is asked again, whether anything changed or not.
const FULL_LOOKS: u64 = 15;
/// How long a new request waits for others before the files about it are looked at.
const GATHERING: Duration = Duration::from_millis(100);
/// How long one file may take, evidence included.
const FILE_TIME_MAX: Duration = Duration::from_secs(30);
/// How long all files may take in one go; the others have their turn with the next look.
const PASS_TIME_MAX: Duration = Duration::from_mins(2);
/// Who takes back what a file said that is gone.
const BY: &str = "approval-files";

/// Follows the folder at `path` until shutdown.
pub(super) async fn follow(desk: Desk, path: PathBuf) {
    let tasks = desk.mirror.tasks().clone();
    let mut following = Following::new(path);
    loop {
        Box::pin(following.look(&desk)).await;
        following.is_timed = tokio::select! {
            () = tasks.stopping() => return,
            () = desk.mirror.request_filed() => {
                tokio::time::sleep(GATHERING).await;
                false
            }
            () = tokio::time::sleep(LOOK_INTERVAL) => true,
        };
    }
}

struct Following {
    path: PathBuf,
    folder: Folder,
    /// What rests on files, as of the last time that this was asked.
    rests: Vec<RestsOnFiles>,
    /// What of that is missing, and for how many looks.
    missing: BTreeMap<Digest, u32>,
    looks: u64,
    /// Whether this look comes by the clock.
    is_timed: bool,
    /// Everything is to be asked again.
    is_due: bool,
    policy: Option<PolicyId>,
    held: Option<String>,
    /// Where the next pass begins.
    next: usize,
    refused: BTreeSet<(String, String)>,
}

impl Following {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            folder: Folder::default(),
            rests: Vec::new(),
            missing: BTreeMap::new(),
            looks: 0,
            is_timed: true,
            is_due: true,
            policy: None,
            held: None,
            next: 0,
            refused: BTreeSet::new(),
        }
    }

    async fn look(&mut self, desk: &Desk) {
        self.looks += u64::from(self.is_timed);
        let policy = *desk.mirror.policy().id();
        let is_full = self.is_timed && self.looks.is_multiple_of(FULL_LOOKS);
        let mut is_due = std::mem::take(&mut self.is_due) || is_full || !self.is_timed;
        is_due |= self.policy.replace(policy) != Some(policy);
        match self.read(desk).await {
            Ok(is_other) => is_due |= is_other,
            Err(why) => return self.hold(desk, Some(why)),
        }
        if is_due {
            match desk.mirror.ledger().rests_on_files().await {
                Ok(rests) => self.rests = rests,
                Err(error) => {
                    warn!(%error, "what rests on approval files cannot be read");
                    self.is_due = true;
                    return;
                }
            }
        }
        if self.folder.is_empty && !self.rests.is_empty() {
            let why = "it is empty, as a place is where nothing is mounted; keep a README in it, and it is \
                       taken at its word";
            return self.hold(desk, Some(why.to_owned()));
        }
        let unread = self.folder.unread.first();
        let unread = unread.map(|file| format!("{file} cannot be read"));
        let is_whole = unread.is_none();
        self.hold(desk, unread);
        if is_whole {
            self.withdraw(desk).await;
        }
        if is_due {
            self.count(desk).await;
        }
    }

    /// Reads the folder if it is another than it was; gives whether it was.
    async fn read(&mut self, desk: &Desk) -> Result<bool, String> {
        let (path, before) = (self.path.clone(), self.folder.stamp);
        let reading = desk.mirror.tasks().spawn_blocking(move || read_other(&path, before));
        match reading.await {
            Ok(Ok(None)) => Ok(false),
            Ok(Ok(Some(folder))) => {
                self.folder = folder;
                self.next = 0;
                Ok(true)
            }
            Ok(Err(why)) => {
                // Whatever it becomes, it is read anew.
                self.folder.stamp = None;
                Err(why)
            }
            Err(_) => Err("reading it was cut short".to_owned()),
        }
    }

    /// Takes nothing back because of `why`, and says so; or says that this is over.
    fn hold(&mut self, desk: &Desk, why: Option<String>) {
        let metrics = desk.mirror.metrics();
        metrics.approval_files_held.set(i64::from(why.is_some()));
        if why.is_some() {
            self.missing.clear();
        }
        if self.held != why {
            let folder = self.path.display();
            if let Some(why) = &why {
                error!(
                    %folder, why,
                    "approval files are not followed: what they said stands as it did, and nothing is taken back"
                );
            } else {
                info!(%folder, "approval files are followed again");
            }
        }
        let now = desk.mirror.clock().now();
        desk.files.show(|view| {
            view.held.clone_from(&why);
            if why.is_none() {
                view.read_at = Some(now);
            }
        });
        self.held = why;
    }

    /// Takes back what rests on files that are gone.
    async fn withdraw(&mut self, desk: &Desk) {
        let present = self.folder.present();
        let resting = self.rests.iter().flat_map(|it| &it.files);
        let gone: BTreeSet<Digest> =
            resting.filter(|file| !present.contains(file)).copied().collect();
        self.missing.retain(|file, _| gone.contains(file));
        for file in gone {
            *self.missing.entry(file).or_insert(0) += u32::from(self.is_timed);
        }
        let mut is_gone: BTreeMap<_, BTreeSet<Digest>> = BTreeMap::new();
        for it in &self.rests {
            let looked = |file: &&Digest| {
                self.missing.get(*file).is_some_and(|looks| *looks >= MISSING_LOOKS)
            };
            let files: BTreeSet<Digest> = it.files.iter().filter(looked).copied().collect();
            if !files.is_empty() {
                is_gone.entry(it.subject.clone()).or_default().extend(files);
            }
        }
        for (subject, files) in is_gone {
            let named: Vec<String> = files.iter().map(ToString::to_string).collect();
            let reason = format!("not in the folder any more: {}", named.join(", "));
            let policy = *desk.mirror.policy().id();
            let gone =
                Withdrawal { subject: subject.clone(), files, by: BY.to_owned(), reason, policy };
            let _one_at_a_time = desk.deciding.lock().await;
            match desk.mirror.ledger().withdraw_files(gone).await {
                Ok(true) => {
                    warn!(%subject, "an approval is withdrawn: a file that it rests on is gone");
                }
                Ok(false) => info!(%subject, "a vote is withdrawn: its file is gone"),
                Err(error) => warn!(%subject, %error, "not withdrawn yet, though a file is gone"),
            }
            self.is_due = true;
        }
    }

    /// Has every file count that does, those that say no first, and shows what became of each.
    async fn count(&mut self, desk: &Desk) {
        let present = self.folder.present();
        let is_no = |found: &Found| {
            found.file.as_ref().is_ok_and(|it| it.statement.decision == Said::Reject)
        };
        let mut order: Vec<usize> = (0..self.folder.files.len()).collect();
        let begun = self.next.min(order.len());
        order.rotate_left(begun);
        order.sort_by_key(|at| !self.folder.files.get(*at).is_some_and(is_no));
        let until = tokio::time::Instant::now() + PASS_TIME_MAX;
        let mut views: BTreeMap<String, ApprovalFileView> = BTreeMap::new();
        let mut refused = BTreeSet::new();
        for at in order {
            let Some(found) = self.folder.files.get(at) else { continue };
            if tokio::time::Instant::now() >= until || desk.mirror.tasks().is_stopping() {
                (self.next, self.is_due) = (at, true);
                break;
            }
            let outcome = match &found.file {
                Err(why) => (State::Invalid, why.clone()),
                Ok(file) => {
                    let counting = Box::pin(desk.count_file(file, &present));
                    let counted = tokio::time::timeout(FILE_TIME_MAX, counting).await;
                    counted.unwrap_or_else(|_| {
                        (State::Waits, "the image could not be judged in time".to_owned())
                    })
                }
            };
            if outcome.0 == State::Invalid {
                let told = (found.path.clone(), outcome.1.clone());
                if !self.refused.contains(&told) {
                    desk.mirror.metrics().approval_files_refused.increment();
                    warn!(file = %found.path, why = %outcome.1, "an approval file does not count");
                }
                refused.insert(told);
            }
            views.insert(found.path.clone(), view(found, outcome));
        }
        self.refused = refused;
        desk.files.show(|shown| {
            // What had no turn is shown as it was.
            for before in std::mem::take(&mut shown.files) {
                let is_there = self.folder.files.iter().any(|it| it.path == before.file);
                if is_there {
                    views.entry(before.file.clone()).or_insert(before);
                }
            }
            shown.files = views.into_values().collect();
        });
    }
}

/// The folder at `path` if it is another than `before` was.
fn read_other(path: &Path, before: Option<Digest>) -> Result<Option<Folder>, String> {
    if before.is_some() && folder::stamp(path) == before {
        return Ok(None);
    }
    folder::read(path).map(Some)
}

fn view(found: &Found, (state, why): Outcome) -> ApprovalFileView {
    let file = found.file.as_ref().ok();
    let statement = file.map(|file| &file.statement);
    ApprovalFileView {
        file: found.path.clone(),
        state,
        why,
        digest: file.map(|file| *file.envelope.digest()),
        image: statement.map(|it| it.subject().to_string()),
        decision: statement.map(|it| it.decision),
        signer: statement.map(|it| it.signer.clone()),
        at: statement.map(|it| it.at),
    }
}
