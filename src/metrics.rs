//! The counters, and their text form for Prometheus.
//!
//! One struct, one field per series: a metric that nobody counts cannot exist, and nothing from
//! outside can make the list of series grow.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A level that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Changes the level by `difference`.
    pub fn add(&self, difference: i64) {
        self.0.fetch_add(difference, Ordering::Relaxed);
    }

    /// Sets the level.
    pub fn set(&self, level: i64) {
        self.0.store(level, Ordering::Relaxed);
    }

    /// The level now.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is asked on the admission listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionMode {
    /// What an image is pinned to, or why it is refused: Gatekeeper.
    Gatekeeper,
    /// Whether images may be: the API server's `ImagePolicyWebhook`.
    ImageReview,
    /// What is to be changed.
    Mutate,
    /// Whether something may be.
    Validate,
}

impl AdmissionMode {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Gatekeeper, "gatekeeper"),
        (Self::ImageReview, "imagereview"),
        (Self::Mutate, "mutate"),
        (Self::Validate, "validate"),
    ];
}

/// What is answered there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionResult {
    /// It may be.
    Allowed,
    /// It may not.
    Denied,
    /// It cannot be read.
    Malformed,
    /// It may be, and somebody is told something.
    Warned,
}

impl AdmissionResult {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Allowed, "allowed"),
        (Self::Denied, "denied"),
        (Self::Malformed, "malformed"),
        (Self::Warned, "warned"),
    ];
}

const ADMISSIONS: usize = AdmissionMode::ALL.len() * AdmissionResult::ALL.len();

/// Reviews that were answered, by what was asked and what was said.
#[derive(Debug, Default)]
pub struct Admissions([Counter; ADMISSIONS]);

impl Admissions {
    fn series()
    -> impl Iterator<Item = ((AdmissionMode, &'static str), (AdmissionResult, &'static str))> {
        AdmissionMode::ALL
            .into_iter()
            .flat_map(|mode| AdmissionResult::ALL.into_iter().map(move |result| (mode, result)))
    }

    /// Counts one.
    pub fn count(&self, mode: AdmissionMode, result: AdmissionResult) {
        for (((of, _), (said, _)), counter) in Self::series().zip(&self.0) {
            if of == mode && said == result {
                counter.increment();
            }
        }
    }

    fn render(&self, text: &mut String) {
        const NAME: &str = "pratique_admission_reviews_total";
        header(
            text,
            NAME,
            "counter",
            "Reviews answered on the admission listener, by what was asked and said.",
        );
        for (((_, mode), (_, result)), counter) in Self::series().zip(&self.0) {
            let labels = format!("mode=\"{mode}\",result=\"{result}\"");
            sample(text, NAME, &labels, &counter.value());
        }
    }
}

/// Upper bounds of the buckets of a [`Histogram`], in microseconds, and as they are shown.
const BUCKETS: [(u64, &str); 8] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (2_000_000, "2"),
];

/// How long things take.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS.len()],
    count: Counter,
    micros: Counter,
}

impl Histogram {
    /// Notes that something took `time`.
    pub fn observe(&self, time: std::time::Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        for ((most, _), bucket) in BUCKETS.iter().zip(&self.buckets) {
            if micros <= *most {
                bucket.increment();
            }
        }
        self.count.increment();
        self.micros.add(micros);
    }

    fn render(&self, text: &mut String, name: &str, help: &str) {
        header(text, name, "histogram", help);
        let count = self.count.value();
        let bucket = format!("{name}_bucket");
        for ((_, most), counter) in BUCKETS.iter().zip(&self.buckets) {
            sample(text, &bucket, &format!("le=\"{most}\""), &counter.value());
        }
        sample(text, &bucket, "le=\"+Inf\"", &count);
        let micros = self.micros.value();
        let seconds = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        sample(text, &format!("{name}_sum"), "", &seconds);
        sample(text, &format!("{name}_count"), "", &count);
    }
}

macro_rules! metrics {
    ($($kind:ident $field:ident $name:literal $labels:literal $help:literal;)*) => {
        /// Everything that is counted; shared by all modules.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: $kind,)*
            /// Reviews answered on the admission listener.
            pub admission: Admissions,
            /// How long they took.
            pub admission_seconds: Histogram,
        }

        impl Metrics {
            /// The text form that Prometheus scrapes.
            ///
            /// Spec: <https://prometheus.io/docs/instrumenting/exposition_formats/>
            pub fn render(&self) -> String {
                let mut text = String::new();
                let mut previous = "";
                $(
                    if previous != $name {
                        let kind = if stringify!($kind) == "Gauge" { "gauge" } else { "counter" };
                        header(&mut text, $name, kind, $help);
                    }
                    previous = $name;
                    sample(&mut text, $name, $labels, &self.$field.value());
                )*
                self.admission.render(&mut text);
                let help = "How long answers on the admission listener took.";
                self.admission_seconds.render(&mut text, "pratique_admission_duration_seconds", help);

                text
            }
        }
    };
}

fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn sample(text: &mut String, name: &str, labels: &str, value: &dyn std::fmt::Display) {
    if labels.is_empty() {
        line(text, format_args!("{name} {value}\n"));
    } else {
        line(text, format_args!("{name}{{{labels}}} {value}\n"));
    }
}

#[expect(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

metrics! {
    Counter manifests_admitted "pratique_manifest_requests_total" "decision=\"admitted\"" "Manifest requests of nodes by decision.";
    Counter manifests_denied "pratique_manifest_requests_total" "decision=\"denied\"" "Manifest requests of nodes by decision.";
    Counter manifests_pending "pratique_manifest_requests_total" "decision=\"pending\"" "Manifest requests of nodes by decision.";
    Counter manifests_checking "pratique_manifest_requests_total" "decision=\"checking\"" "Manifest requests of nodes by decision.";
    Counter manifests_undecided "pratique_manifest_requests_total" "decision=\"undecided\"" "Manifest requests of nodes by decision.";
    Counter manifests_observed "pratique_manifest_requests_total" "decision=\"observed\"" "Manifest requests of nodes by decision.";
    Counter manifests_absent "pratique_manifest_requests_total" "decision=\"absent\"" "Manifest requests of nodes by decision.";
    Counter blobs_cached "pratique_blob_requests_total" "source=\"cache\"" "Blob requests of nodes by where the bytes came from.";
    Counter blobs_arriving "pratique_blob_requests_total" "source=\"upstream\"" "Blob requests of nodes by where the bytes came from.";
    Counter blobs_ungranted "pratique_blob_requests_total" "source=\"refused\"" "Blob requests of nodes by where the bytes came from.";
    Gauge blob_answers "pratique_blob_answers" "" "Answers with a blob that are being sent to nodes.";
    Counter blob_bytes "pratique_blob_bytes_total" "" "Bytes of blobs sent to nodes.";
    Counter would_refuse "pratique_observed_refusals_total" "" "Manifest requests served in observe mode that enforcement would have refused.";
    Counter warned "pratique_warned_pulls_total" "" "Manifest requests served with a warning that enforcement would have refused: mode warn.";
    Counter stale_tags "pratique_stale_tag_answers_total" "" "Tags answered from history because upstream moved, deleted or withheld them.";
    Counter stale_verdicts "pratique_stale_verdicts_total" "" "Manifest requests served as admitted before, because nothing could be decided: onError stale.";
    Gauge flights "pratique_flights" "" "Fetches under way for nodes.";
    Counter judgements "pratique_judgements_total" "" "Decisions made, fresh or from stored evidence.";
    Gauge outdated_images "pratique_outdated_images" "" "Images in use with a newer version in their line, as of the last look.";
    Gauge ended_images "pratique_end_of_life_images" "" "Images in use of a line that is mended no more, as of the last look.";
    Gauge open_requests "pratique_open_requests" "" "Requests that wait for people.";
    Gauge emergencies_open "pratique_break_glass_open" "" "Break-glasses in force.";
    Gauge emergencies_unreviewed "pratique_break_glass_unreviewed" "" "Break-glasses that were in force and nobody has reviewed.";
    Counter emergency_manifests "pratique_break_glass_pulls_total" "kind=\"manifest\"" "Answers to nodes that only a break-glass allowed.";
    Counter emergency_blobs "pratique_break_glass_pulls_total" "kind=\"blob\"" "Answers to nodes that only a break-glass allowed.";
    Gauge approvals_ending "pratique_approvals_ending" "" "Approvals that end within 14 days, of images that are still pulled.";
    Counter approval_files_refused "pratique_approval_files_refused_total" "" "Approval files that cannot be read, or are no vote of a signer of the policy.";
    Gauge approval_files_held "pratique_approval_files_held" "" "1 while the folder with approval files cannot be read whole, and nothing is withdrawn.";
    Counter clients_asked "pratique_client_checks_total" "outcome=\"asked\"" "Requests for what is not for everybody (clients in the policy), by what came of it.";
    Counter clients_refused "pratique_client_checks_total" "outcome=\"refused\"" "Requests for what is not for everybody (clients in the policy), by what came of it.";
    Counter clients_not_refused "pratique_client_checks_total" "outcome=\"observed\"" "Requests for what is not for everybody (clients in the policy), by what came of it.";
    Gauge policy_revision "pratique_policy_revision" "" "Revision of the policy in force.";
    Counter policy_rejected "pratique_policy_reload_failures_total" "" "Policy files that were refused at reload; the old policy stayed.";
    Gauge database_as_of "pratique_vulnerability_database_timestamp_seconds" "" "As of when the vulnerability database in force is, in seconds since 1970; 0 without one.";
    Counter database_rejected "pratique_vulnerability_database_failures_total" "" "Vulnerability databases that were refused; the one in force stayed.";
    Counter other_scans "pratique_other_scans_total" "" "Reports of scanners beside the one inside.";
    Counter other_scans_failed "pratique_other_scans_failed_total" "" "Images about which such a scanner gave no report.";
    Counter layers_scanned "pratique_layers_scanned_total" "" "Layers read by the scanner.";
    Gauge scans_held "pratique_scan_changes_held" "" "1 while a change of the vulnerability database is held until a person has seen it.";
    Counter looked_again "pratique_reevaluations_total" "outcome=\"confirmed\"" "Images whose signatures were looked for again by an approval policy (reEvaluate), by what came of it.";
    Counter looked_again_lost "pratique_reevaluations_total" "outcome=\"lost\"" "Images whose signatures were looked for again by an approval policy (reEvaluate), by what came of it.";
    Counter looked_again_failed "pratique_reevaluations_total" "outcome=\"failed\"" "Images whose signatures were looked for again by an approval policy (reEvaluate), by what came of it.";
    Gauge looked_again_held "pratique_reevaluations_held" "" "Images that rest on what upstream lost, and are served on until a person has seen it.";
    Gauge looked_again_overdue "pratique_reevaluations_overdue" "" "Images whose signatures were looked for twice as long ago as the policy says.";
    Counter upstream_requests "pratique_upstream_requests_total" "" "Requests sent to upstream registries.";
    Counter upstream_failures "pratique_upstream_failures_total" "" "Requests to upstream registries that failed.";
    Counter upstream_retries "pratique_upstream_retries_total" "" "Requests to upstream registries that were sent again.";
    Counter upstream_bytes "pratique_upstream_bytes_total" "" "Bytes of content read from upstream registries.";
    Counter upstream_rate_limited "pratique_upstream_rate_limited_total" "" "Answers of upstream registries that asked to slow down.";
    Counter breaker_opened "pratique_upstream_breaker_opened_total" "" "Times that an upstream or one of its credentials was given a rest.";
    Counter addresses_refused "pratique_upstream_addresses_refused_total" "" "Connections not made because the address is not one that an upstream may have.";
    Counter digest_mismatches "pratique_digest_mismatches_total" "" "Contents refused because their hash was not the digest asked for.";
    Gauge store_blobs "pratique_store_blobs" "" "Blobs in the store.";
    Gauge store_bytes "pratique_store_bytes" "" "Bytes in the store.";
    Counter store_corrupt "pratique_store_corrupt_total" "" "Stored blobs found damaged and removed.";
    Counter store_failures "pratique_store_failures_total" "" "Operations of the store that failed.";
    Gauge store_quota_bytes "pratique_store_quota_bytes" "" "Most bytes that the store may hold; 0 without a quota.";
    Gauge store_reserved_bytes "pratique_store_reserved_bytes" "" "Bytes reserved for blobs under way.";
    Counter store_evicted_blobs "pratique_store_evicted_blobs_total" "" "Blobs that gave way to others or that nobody asked for.";
    Counter store_evicted_bytes "pratique_store_evicted_bytes_total" "" "Bytes of blobs that gave way to others or that nobody asked for.";
    Counter store_scrubbed_blobs "pratique_store_scrubbed_blobs_total" "" "Blobs that the scrub has hashed again.";
    Counter store_scrubbed_bytes "pratique_store_scrubbed_bytes_total" "" "Bytes that the scrub has hashed again.";
    Counter store_healed "pratique_store_healed_total" "" "Damaged blobs that were fetched again under a verdict that holds.";
    Counter store_foreign "pratique_store_foreign_total" "" "Things among the blobs that were none and have been set aside.";
    Counter blobs_through "pratique_blobs_passed_through_total" "" "Blobs sent to nodes past the store, because it had no room or its disk failed.";
    Gauge index_available "pratique_index_available" "" "1 while the rebuildable index works.";
    Counter ledger_failures "pratique_ledger_failures_total" "" "Operations of the ledger that failed.";
    Counter audit_archive_failures "pratique_audit_archive_failures_total" "" "Times that old audit records could not be archived.";
    Counter audit_checkpoint_failures "pratique_audit_checkpoint_failures_total" "" "Checkpoints of the audit that could not be signed or written.";
    Gauge audit_records_covered "pratique_audit_records_covered" "" "Records of the audit that a signed checkpoint covers.";
    Gauge connections "pratique_node_connections" "" "Open connections of nodes.";
    Counter connections_refused "pratique_node_connections_refused_total" "" "Connections of nodes refused because too many were open.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_metric_share_one_header() {
        let metrics = Metrics::default();
        metrics.manifests_denied.increment();
        metrics.flights.add(2);
        let text = metrics.render();
        assert_eq!(text.matches("# TYPE pratique_manifest_requests_total counter").count(), 1);
        assert!(text.contains("pratique_manifest_requests_total{decision=\"denied\"} 1\n"));
        assert!(text.contains("# TYPE pratique_flights gauge\npratique_flights 2\n"), "gauge");
    }

    #[test]
    fn reviews_are_counted_by_mode_and_result_and_their_time_in_buckets() {
        let metrics = Metrics::default();
        metrics.admission.count(AdmissionMode::Validate, AdmissionResult::Denied);
        metrics.admission_seconds.observe(std::time::Duration::from_millis(3));
        metrics.admission_seconds.observe(std::time::Duration::from_secs(9));
        let text = metrics.render();
        for line in [
            "pratique_admission_reviews_total{mode=\"validate\",result=\"denied\"} 1\n",
            "pratique_admission_reviews_total{mode=\"mutate\",result=\"denied\"} 0\n",
            "# TYPE pratique_admission_duration_seconds histogram\n",
            "pratique_admission_duration_seconds_bucket{le=\"0.001\"} 0\n",
            "pratique_admission_duration_seconds_bucket{le=\"0.005\"} 1\n",
            "pratique_admission_duration_seconds_bucket{le=\"2\"} 1\n",
            "pratique_admission_duration_seconds_bucket{le=\"+Inf\"} 2\n",
            "pratique_admission_duration_seconds_sum 9.003000\n",
            "pratique_admission_duration_seconds_count 2\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
