mod authorities;
mod binary;
mod fixtures;
mod forger;
mod hostile;
mod limits;
mod vectors;
