//! Gathering from a registry in memory that lacks, lies and fails as it is told to.

mod manifests;
mod registry;
mod signatures;
