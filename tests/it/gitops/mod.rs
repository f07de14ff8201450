//! The policy as a directory that teams share, and people's word as signed files.

mod approval_files;
mod approval_hostile;
mod approval_withdrawn;
mod directory;
mod signing;
