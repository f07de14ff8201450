//! Images made here, ordinary and hostile, and what is found in them.

pub(super) mod image;
pub(super) mod images;
pub(super) mod kinds;

mod behind;
mod layers;
mod limits;
mod links;
mod merging;
mod model;
mod whole;
