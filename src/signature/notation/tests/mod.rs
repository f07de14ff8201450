mod authorities;
mod fixtures;
mod forger;
mod hostile;
mod vectors;
