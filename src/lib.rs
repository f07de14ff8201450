//! Pratique, the trusted registry mirror.
//!
//! It stands between a Kubernetes cluster and public registries, speaks the OCI distribution
//! protocol, and serves only images whose digests have passed the gates of its policy.
//!
//! The modules, lowest layer first (a module imports only from lower layers; `tests/it/layering.rs`
//! holds it):
//!
//! | layer | module | owns |
//! |---|---|---|
//! | 0 | [`oci`] | pure types and parsers of the OCI specifications |
//! | 0 | [`time`], [`tasks`], [`metrics`] | the clock, the only spawner, the counters |
//! | 0 | [`expression`] | conditions, bounded before they are asked |
//! | 0 | [`program`] | foreign programs, isolated and within bounds |
//! | 1 | [`policy`] | the policy document: parse, lint, match |
//! | 1 | [`scan`] | the scanner: layers to inventory, inventory and database to report |
//! | 1 | [`signature`] | verifiers: bytes and keys in, who-signed-what out |
//! | 1 | [`kubernetes`] | which images Kubernetes objects name |
//! | 1 | [`layout`] | OCI image layouts on disk, read by digest |
//! | 1 | [`node`] | what pulls on a node, and how it is configured |
//! | 1 | [`store`] | this machine's cache of blobs and its rebuildable index |
//! | 1 | [`summary`] | what the mirror says itself about admitted images, signed |
//! | 1 | [`transparency`] | Merkle trees, signed notes, checkpoints |
//! | 1 | [`text`] | how times, spans and sizes look to people |
//! | 1 | [`upstream`] | the bounded registry client |
//! | 2 | [`adapter`] | scanners beside the one inside |
//! | 2 | [`admission`] | what clusters ask before a pod is there, and what is answered |
//! | 2 | [`archive`] | images put together in a folder: layouts written, looked through, sent |
//! | 2 | [`doctor`] | the bypass canary: tries the ways around the mirror on a node |
//! | 2 | [`gate`] | the decision: pure, total, synchronous |
//! | 2 | [`people`] | how people prove who they are: passwords, codes, a provider |
//! | 3 | [`cluster`] | what runs in a cluster, read from its API server |
//! | 3 | [`ledger`] | the trust state: verdicts, grants, requests, decisions, audit |
//! | 3 | [`evidence`] | gathers what the gate needs |
//! | 3 | [`preload`] | the images that bring a cluster up, brought into a node's runtime |
//! | 3 | [`rehearsal`] | tests of a policy, put before the gate |
//! | 4 | [`mirror`] | the use cases: resolve, admit, pull |
//! | 4 | [`notify`] | webhooks that follow the audit |
//! | 6 | [`http`] | listeners, node API, admin API |
//! | 7 | [`config`] | settings file to each module's `Settings` |
//! | 8 | [`app`] | the composition root |
//! | 9 | [`cli`] | one file per subcommand |
//! | 9 | `fuzzing` | the fuzz targets, by the feature of that name only |

#![cfg_attr(
    test,
    allow(
        clippy::wildcard_enum_match_arm,
        reason = "a test names the variants it expects and fails on every other"
    )
)]

pub mod adapter;
pub mod admission;
pub mod app;
pub mod archive;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod doctor;
pub mod evidence;
pub mod expression;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gate;
pub mod http;
pub mod kubernetes;
pub mod layout;
pub mod ledger;
pub mod metrics;
pub mod mirror;
pub mod node;
pub mod notify;
pub mod oci;
pub mod opening;
pub mod people;
pub mod policy;
pub mod preload;
pub mod program;
pub mod rehearsal;
pub mod sandbox;
pub mod scan;
pub mod signature;
pub mod store;
pub mod summary;
pub mod tasks;
pub mod text;
pub mod time;
pub mod transparency;
pub mod upstream;
