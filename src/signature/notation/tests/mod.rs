mod fixtures;
mod forger;
mod hostile;
