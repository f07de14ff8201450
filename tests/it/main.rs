//! Behaviour tests: one binary, a module per promise.

#[cfg(test)]
mod adapters;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod attestations;
mod attested_scans;
#[cfg(test)]
mod break_glass;
#[cfg(test)]
mod bypass;
#[cfg(test)]
mod carried;
#[cfg(test)]
mod children;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod cold_pull;
#[cfg(test)]
mod configured;
#[cfg(test)]
mod continuity;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod database_update;
#[cfg(test)]
mod denial;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod drafts;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod expressions;
#[cfg(test)]
mod forgeries;
#[cfg(test)]
mod found_since;
#[cfg(test)]
mod fresh;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod gitops;
#[cfg(test)]
mod harbor;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod init;
#[cfg(test)]
mod inventory;
#[cfg(test)]
mod keyless;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod model;
#[cfg(test)]
mod node_kit;
#[cfg(test)]
mod notation;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod observe;
#[cfg(test)]
mod overlays;
#[cfg(test)]
mod people;
#[cfg(test)]
mod policy_tools;
#[cfg(test)]
mod preload;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod ranges;
#[cfg(test)]
mod reevaluate;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod sboms;
#[cfg(test)]
mod scanning;
#[cfg(test)]
mod scope;
#[cfg(test)]
mod security_table;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod stale;
#[cfg(test)]
mod standing_approvals;
#[cfg(test)]
mod summaries;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tag_moves;
#[cfg(test)]
mod trivy;
#[cfg(test)]
mod trust_root;
#[cfg(test)]
mod upstream_client;
#[cfg(test)]
mod upstream_credentials;
#[cfg(test)]
mod upstream_health;
#[cfg(test)]
mod upstream_ranges;
#[cfg(test)]
mod upstream_redirects;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod vex;
#[cfg(test)]
mod warm_pull;
#[cfg(test)]
mod web;
#[cfg(test)]
mod wire;
