//! What runs in a cluster: read from its API server, or from what `kubectl` printed, and put together so that
//! somebody else can be told of it.
//!
//! Promises:
//! - pods and nodes are only read, but for one taint that its node's keeper takes off ([`remove_taint`]);
//! - the token goes to the API server that the pod was told of, over TLS that is believed by the cluster's own
//!   authority alone, and into no log;
//! - everything is bounded, and a list that was cut says so ([`InventoryReport::left_out`]);
//! - what a pod says of its image is a claim of its node: it is told, and never a reason to admit anything.
//!
//! Sources: the API of Kubernetes, core/v1 Pod, Node and `ListMeta`
//! (<https://kubernetes.io/docs/reference/kubernetes-api/>), and its chunked lists
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks>).

mod api;
mod image;
mod object;
mod read;
mod report;
mod taint;

pub use api::{ACCOUNT_DIR, ApiServer, Error};
pub use image::{RunningId, running_id};
pub use read::{FILE_BYTES_MAX, Found, from_api, from_json};
pub use report::{
    Cached, ClusterName, InventoryReport, NODES_NAMED_MAX, REPORT_BYTES_MAX, Running, UsedAs,
    Workload,
};
pub use taint::remove_taint;
