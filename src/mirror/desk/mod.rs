//! The desk: where people see what waits, decide, and look things up.
//!
//! It is what the admin API and the command line stand on. Promises:
//! - a decision is bound to a digest, never to a tag, and names who took it and why;
//! - it is in the ledger before it is acknowledged, and in force for the next pull;
//! - people cannot approve what the policy denies; they can always refuse;
//! - nothing is decided here that the gate decides: the desk asks it what it would say.
//!
//! It must not know HTTP, and it shows no secret but a token that was just made.

pub mod alternatives;
pub mod audit;
pub mod cache;
mod decide;
pub mod difference;
pub mod dossier;
mod drafts;
mod electorate;
pub mod emergencies;
mod endings;
mod error;
pub mod exceptions;
mod explain;
pub mod files;
pub mod inventory;
mod keys;
pub mod learn;
pub mod nodes;
mod observe;
pub mod outdated;
pub mod people;
pub mod policy_words;
pub mod propose;
pub mod queue;
mod rejudge;
mod remarks;
mod requests;
mod rollback;
mod scans;
mod show;
mod shown;
pub mod simulate;
mod target;
pub mod together;
mod tokens;
pub mod trends;
pub mod view;
mod voting;
mod waiting;
mod words;

use std::sync::Arc;

use tokio::sync::Mutex;

pub use decide::{Verb, Wish};
pub use error::Error;
pub use requests::{Belonging, Listing};
pub use show::STATES;
pub use shown::Shown;
pub use tokens::{FIRST_TOKEN_FILE, first_token, new_token};

use super::Mirror;
use crate::time::Timestamp;

/// Longest reason for a decision, in characters.
pub const REASON_LENGTH_MAX: usize = 1_000;
/// Longest name of a group of requests, in characters.
pub const GROUP_LENGTH_MAX: usize = 100;
/// Longest text that says where else a request is spoken of, in characters.
pub const TICKET_LENGTH_MAX: usize = 200;
/// Most images in one request or prefetch.
pub const IMAGES_MAX: usize = 100;
/// Most entries on one page of anything.
pub const PAGE_MAX: u32 = 1_000;

/// The desk of one mirror; clones are the same desk.
#[derive(Debug, Clone)]
pub struct Desk {
    mirror: Mirror,
    started_at: Timestamp,
    backing_up: Arc<Mutex<()>>,
    deciding: Arc<Mutex<()>>,
    simulating: Arc<Mutex<()>>,
    reading_audit: Arc<Mutex<()>>,
    tag_lists: Arc<outdated::TagLists>,
    looks: Arc<trends::Looks>,
    files: Arc<files::Board>,
    nodes: Arc<nodes::Nodes>,
    inventories: Arc<inventory::Inventories>,
}

impl Desk {
    /// The desk of `mirror`.
    pub fn new(mirror: Mirror) -> Self {
        let started_at = mirror.clock().now();
        Self {
            mirror,
            started_at,
            backing_up: Arc::new(Mutex::new(())),
            deciding: Arc::new(Mutex::new(())),
            simulating: Arc::new(Mutex::new(())),
            reading_audit: Arc::new(Mutex::new(())),
            tag_lists: Arc::default(),
            looks: Arc::default(),
            files: Arc::default(),
            nodes: Arc::default(),
            inventories: Arc::default(),
        }
    }

    /// The mirror it decides for.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }
}
