//! The routes of the API, what each takes and what it gives: the one table from which the router and
//! its description are made.

use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post};

use super::body::NDJSON;
use super::openapi::{self, Told, says};
use super::{
    AdminState, audit, break_glass, cache, decisions, events, exceptions, inventory, keys, look,
    nodes, paging, persons, requests, simulate, tokens, webhooks,
};
use crate::cluster::{InventoryReport, REPORT_BYTES_MAX};
use crate::doctor::Report;
use crate::gate::EmergencyId;
use crate::ledger::{ExceptionId, Permission, RequestId};
use crate::mirror::approval_file::Draft;
use crate::mirror::desk::audit::view::{
    ArchiveBody, ArchivedView, CheckpointView, KeysView, ProofView, SegmentsView, WhyView,
};
use crate::mirror::desk::cache::{CacheView, PinBody, PinView, ScrubBody, ScrubView, TidiedView};
use crate::mirror::desk::emergencies::view::{
    BreakGlassBody, BreakGlassReviewBody, BreakGlassView, BreakGlassVoteBody,
};
use crate::mirror::desk::exceptions::{
    ExceptionAskedView, ExceptionBody, ExceptionDecidedView, ExceptionEndBody, ExceptionView,
    ExceptionVoteBody,
};
use crate::mirror::desk::files::{ApprovalFilesView, DraftTarget};
use crate::mirror::desk::inventory::{ClusterView, ClustersView, RunningImagesView, WhereView};
use crate::mirror::desk::learn::ProposalView;
use crate::mirror::desk::nodes::{NodeView, NodesView};
use crate::mirror::desk::outdated::OutdatedView;
use crate::mirror::desk::people::{InvitationView, PersonBody, PersonChangeBody, PersonView};
use crate::mirror::desk::propose::RuleProposalsView;
use crate::mirror::desk::simulate::{SimulateBody, SimulationLine};
use crate::mirror::desk::view::{
    AskBody, AskedView, AuditPage, AuditReportView, AuditView, DecidedView, DecisionBody,
    ExplainView, ImagesBody, NewTokenView, ObservedPage, PolicyView, PrefetchView, PublicKeysView,
    ReevaluatedView, RejudgeBody, RejudgementView, RemarkBody, RequestView, RollbackAllowedView,
    ScansReleasedView, StatusView, TokenBody, TokenView, UndatedDecisionBody, VoteBody,
};
use crate::notify::{WebhookTestView, WebhookView};

/// Under which path the API is.
pub const API: &str = "/api/v1";

/// A route of the admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// By which method; GET answers HEAD, too.
    pub method: Method,
    /// Its path, with `{name}` for a segment and `{*name}` for a rest.
    pub path: &'static str,
    /// What it takes; `None`: nothing.
    pub needs: Option<Permission>,
}

/// The routes that heed which repositories a token is for; one that is not for all opens no others.
const SCOPED: [&str; 4] = ["/explain", "/requests", "/requests/{id}", "/requests/{id}/answers"];

/// Whether what is at `path` heeds which repositories a token is for.
pub(super) fn knows_scopes(path: &str) -> bool {
    SCOPED.contains(&path)
}

/// Every route of the API, under [`API`], and what it takes.
pub fn api_routes() -> Vec<Route> {
    table().into_iter().map(|(route, ..)| route).collect()
}

/// A route with what answers it, and what it says of itself.
pub(super) type Entry = (Route, MethodRouter<AdminState>, Told);

/// The one table of the API: nothing is served that is not in it, and nothing else is described.
pub(super) fn table() -> Vec<Entry> {
    let mut table = vec![(
        look("/openapi.json"),
        get(openapi::show),
        says("This description of the API").gives::<serde_json::Value>(),
    )];
    table.extend(about_images());
    table.extend(about_emergencies());
    table.extend(about_exceptions());
    table.extend(about_the_audit());
    table.extend(about_the_mirror());
    table.extend(about_people());
    table
}

fn route(method: Method, path: &'static str, needs: Permission) -> Route {
    Route { method, path, needs: Some(needs) }
}

fn look(path: &'static str) -> Route {
    route(Method::GET, path, Permission::Look)
}

fn send(path: &'static str, needs: Permission) -> Route {
    route(Method::POST, path, needs)
}

fn take_back(path: &'static str, needs: Permission) -> Route {
    route(Method::DELETE, path, needs)
}

/// What a decision may meet beside what its body may: a subject that is not there, another decision, a
/// ledger that fails, evidence that cannot be had.
const DECIDING: &[u16] = &[404, 409, 500, 503];
/// What looking at an image may meet.
const LOOKING_UP: &[u16] = &[404, 500, 503];
/// What reading the ledger may meet.
const READING: &[u16] = &[500];

/// Questions and decisions about images.
#[expect(clippy::too_many_lines, reason = "a table")]
fn about_images() -> Vec<Entry> {
    use Permission::{Administer, Ask, Decide};
    vec![
        (
            send("/approvals", Decide),
            post(decisions::approve),
            says("Approve an image")
                .takes::<DecisionBody>()
                .gives::<DecidedView>()
                .conditional()
                .may(DECIDING),
        ),
        (
            look("/approval-draft"),
            get(look::approval_draft),
            says("What an approval file about an image would say, to be signed")
                .asks::<DraftTarget>()
                .gives::<Draft>()
                .may(DECIDING),
        ),
        (
            look("/approval-files"),
            get(look::approval_files),
            says("The approval files, and what became of each").gives::<ApprovalFilesView>(),
        ),
        (
            look("/explain"),
            get(look::explain),
            says("Everything known about one image")
                .asks::<look::Image>()
                .gives::<ExplainView>()
                .may(LOOKING_UP),
        ),
        (
            look("/observed"),
            get(look::observed),
            says("What enforcing would have refused")
                .asks::<look::Limit>()
                .gives::<ObservedPage>()
                .may(READING),
        ),
        (
            look("/outdated"),
            get(look::outdated),
            says("What runs here and could be newer")
                .asks::<look::Days>()
                .gives::<OutdatedView>()
                .may(READING),
        ),
        (
            send("/prefetch", Administer),
            post(requests::prefetch),
            says("Bring images into the cache").takes::<ImagesBody>().lines::<PrefetchView>(NDJSON),
        ),
        (
            send("/reinstatements", Decide),
            post(decisions::reinstate),
            says("Take back a refusal of an image")
                .takes::<UndatedDecisionBody>()
                .gives::<DecidedView>()
                .conditional()
                .may(DECIDING),
        ),
        (
            send("/rejections", Decide),
            post(decisions::reject),
            says("Reject an image")
                .takes::<UndatedDecisionBody>()
                .gives::<DecidedView>()
                .conditional()
                .may(DECIDING),
        ),
        (
            look("/requests"),
            get(requests::list),
            says("Requests")
                .asks::<requests::Filter>()
                .gives::<Vec<RequestView>>()
                .paged()
                .may(READING),
        ),
        (
            send("/requests", Ask),
            post(requests::ask),
            says("Ask for images").takes::<AskBody>().gives::<Vec<AskedView>>().may(&[500, 503]),
        ),
        (
            look("/requests/{id}"),
            get(requests::show),
            says("One request")
                .at::<RequestId>()
                .gives::<RequestView>()
                .versioned()
                .may(&[404, 500]),
        ),
        (
            look("/requests/{id}/proposal"),
            get(requests::proposal),
            says("What the policy could say, so that nobody would have to decide")
                .at::<RequestId>()
                .asks::<requests::Figures>()
                .gives::<RuleProposalsView>()
                .may(&[404, 500]),
        ),
        (
            send("/requests/{id}/answers", Ask),
            post(requests::answer),
            says("Answer what was asked about a request")
                .at::<RequestId>()
                .takes::<RemarkBody>()
                .gives::<RequestView>()
                .may(&[404, 409, 500]),
        ),
        (
            send("/requests/{id}/questions", Decide),
            post(requests::question),
            says("Ask what a request is for")
                .at::<RequestId>()
                .takes::<RemarkBody>()
                .gives::<RequestView>()
                .may(&[404, 409, 500]),
        ),
        (
            send("/requests/{id}/votes", Decide),
            post(decisions::vote),
            says("Say yes or no to a request")
                .at::<RequestId>()
                .takes::<VoteBody>()
                .gives::<DecidedView>()
                .conditional()
                .may(DECIDING),
        ),
        (
            send("/revocations", Decide),
            post(decisions::revoke),
            says("Revoke an image")
                .takes::<UndatedDecisionBody>()
                .gives::<DecidedView>()
                .conditional()
                .may(DECIDING),
        ),
        // A question that is too long for an address: it changes nothing.
        (
            send("/simulate", Permission::Look),
            post(simulate::simulate),
            says("What a draft of a policy would change")
                .takes_up_to::<SimulateBody>(simulate::DRAFT_BYTES_MAX)
                .lines::<SimulationLine>(NDJSON)
                .may(&[409, 500]),
        ),
    ]
}

/// Break-glass.
fn about_emergencies() -> Vec<Entry> {
    use Permission::{Ask, Decide};
    vec![
        (
            look("/break-glass"),
            get(break_glass::list),
            says("Break-glasses, newest first")
                .asks::<break_glass::Stretch>()
                .gives::<Vec<BreakGlassView>>()
                .paged()
                .may(&[404, 500]),
        ),
        (
            send("/break-glass", Ask),
            post(break_glass::break_glass),
            says("Have something served in an emergency that nothing admitted")
                .takes::<BreakGlassBody>()
                .creates::<BreakGlassView>()
                .may(DECIDING),
        ),
        (
            look("/break-glass/{id}"),
            get(break_glass::show),
            says("One break-glass").at::<EmergencyId>().gives::<BreakGlassView>().may(&[404, 500]),
        ),
        (
            take_back("/break-glass/{id}", Ask),
            delete(break_glass::end),
            says("End a break-glass before its time")
                .at::<EmergencyId>()
                .asks::<break_glass::Why>()
                .gives::<BreakGlassView>()
                .may(&[404, 409, 500]),
        ),
        (
            send("/break-glass/{id}/review", Decide),
            post(break_glass::review),
            says("Say afterwards whether a break-glass was justified")
                .at::<EmergencyId>()
                .takes::<BreakGlassReviewBody>()
                .gives::<BreakGlassView>()
                .may(&[404, 409, 500]),
        ),
        (
            send("/break-glass/{id}/votes", Ask),
            post(break_glass::vote),
            says("Say yes to a break-glass that takes several people")
                .at::<EmergencyId>()
                .takes::<BreakGlassVoteBody>()
                .gives::<BreakGlassView>()
                .may(&[404, 409, 500]),
        ),
    ]
}

/// Findings that do not count for a while.
fn about_exceptions() -> Vec<Entry> {
    use Permission::{Ask, Decide};
    vec![
        (
            look("/exceptions"),
            get(exceptions::list),
            says("Exceptions of the desk")
                .asks::<exceptions::Filter>()
                .gives::<Vec<ExceptionView>>()
                .paged()
                .may(READING),
        ),
        (
            send("/exceptions", Ask),
            post(exceptions::ask),
            says("Ask for an exception")
                .takes::<ExceptionBody>()
                .gives::<ExceptionAskedView>()
                .may(DECIDING),
        ),
        (
            look("/exceptions/{id}"),
            get(exceptions::show),
            says("One exception")
                .at::<ExceptionId>()
                .gives::<ExceptionView>()
                .versioned()
                .may(LOOKING_UP),
        ),
        (
            send("/exceptions/{id}/end", Ask),
            post(exceptions::end),
            says("End an exception, or take back what was asked for")
                .at::<ExceptionId>()
                .takes::<ExceptionEndBody>()
                .gives::<ExceptionDecidedView>()
                .may(DECIDING),
        ),
        (
            send("/exceptions/{id}/votes", Decide),
            post(exceptions::vote),
            says("Grant or refuse an exception")
                .at::<ExceptionId>()
                .takes::<ExceptionVoteBody>()
                .gives::<ExceptionDecidedView>()
                .conditional()
                .may(DECIDING),
        ),
    ]
}

/// What is on record.
#[expect(clippy::too_many_lines, reason = "a table")]
fn about_the_audit() -> Vec<Entry> {
    vec![
        (
            look("/audit"),
            get(audit::list),
            says("Records of the audit, in order")
                .asks::<audit::Stretch>()
                .gives::<AuditPage>()
                .paged()
                .may(&[404, 500]),
        ),
        (
            look("/audit/archives"),
            get(audit::archives),
            says("The files with records that left the database")
                .gives::<SegmentsView>()
                .may(READING),
        ),
        (
            send("/audit/archives", Permission::Administer),
            post(audit::archive),
            says("Move old records out of the database, into files")
                .takes::<ArchiveBody>()
                .gives::<ArchivedView>()
                .may(&[409, 500]),
        ),
        (
            look("/audit/checkpoint"),
            get(audit::checkpoint),
            says("The last signed checkpoint").gives::<CheckpointView>().may(&[404, 500]),
        ),
        (
            send("/audit/checkpoint", Permission::SignAudit),
            post(audit::new_checkpoint),
            says("Have a checkpoint signed of every record")
                .gives::<CheckpointView>()
                .may(&[404, 500]),
        ),
        (
            look("/audit/export"),
            get(audit::export),
            says("The audit, for another machine")
                .asks::<audit::From>()
                .bytes("application/jsonl")
                .may(&[404, 500]),
        ),
        (
            look("/audit/keys"),
            get(audit::keys),
            says("The public keys that sign checkpoints").gives::<KeysView>().may(READING),
        ),
        (
            look("/audit/proof"),
            get(audit::proof),
            says("The proof that a record is in the audit")
                .asks::<audit::Sequence>()
                .gives::<ProofView>()
                .may(&[404, 500]),
        ),
        (
            look("/audit/verify"),
            get(audit::verify),
            says("Check the whole audit").gives::<AuditReportView>().may(READING),
        ),
        (
            look("/audit/why"),
            get(audit::why),
            says("Why an image ran at some time, or did not")
                .asks::<audit::ImageThen>()
                .gives::<WhyView>()
                .may(LOOKING_UP),
        ),
        (
            look("/events"),
            get(events::listen),
            says("Records of the audit, as they are written").streams::<AuditView>(),
        ),
    ]
}

/// The mirror itself: cache, keys, policy, webhooks.
#[expect(clippy::too_many_lines, reason = "a table")]
fn about_the_mirror() -> Vec<Entry> {
    use Permission::Administer;
    vec![
        (
            send("/backup", Administer),
            post(look::backup),
            says("A backup of the trust state").bytes("application/octet-stream").may(READING),
        ),
        (look("/cache"), get(cache::status), says("How the cache is").gives::<CacheView>()),
        (
            send("/cache/gc", Administer),
            post(cache::gc),
            says("Tidy the cache").gives::<TidiedView>().may(READING),
        ),
        (
            look("/cache/pins"),
            get(cache::pins),
            says("The pinned images")
                .asks::<paging::Stretch>()
                .gives::<Vec<PinView>>()
                .paged()
                .may(READING),
        ),
        (
            send("/cache/pins", Administer),
            post(cache::pin),
            says("Pin an image").takes::<PinBody>().gives::<PinView>().may(DECIDING),
        ),
        (
            take_back("/cache/pins", Administer),
            delete(cache::unpin),
            says("Do not pin an image any more")
                .asks::<cache::Image>()
                .gives::<Vec<String>>()
                .may(LOOKING_UP),
        ),
        (
            send("/cache/scrub", Administer),
            post(cache::scrub),
            says("Hash everything in the cache again")
                .takes::<ScrubBody>()
                .lines::<ScrubView>(NDJSON),
        ),
        (
            look("/inventory"),
            get(inventory::clusters),
            says("The clusters of which it is known what runs").gives::<ClustersView>(),
        ),
        // A cluster says again and again what runs: the same twice is no second thing.
        (
            send("/inventory", Permission::Report),
            post(inventory::report),
            says("Report what runs in a cluster")
                .takes_up_to::<InventoryReport>(REPORT_BYTES_MAX)
                .gives::<ClusterView>()
                .may(&[409]),
        ),
        (
            look("/inventory/images"),
            get(inventory::images),
            says("The images that run in a cluster, those with the worst findings first")
                .asks::<inventory::Of>()
                .gives::<RunningImagesView>()
                .may(&[404, 500]),
        ),
        (
            look("/inventory/where"),
            get(inventory::whereabouts),
            says("Where an image, a finding or what somebody signed runs")
                .asks::<inventory::Sought>()
                .gives::<WhereView>()
                .may(&[403, 404, 409, 500, 503]),
        ),
        (
            look("/nodes"),
            get(nodes::list),
            says("What the doctors of nodes reported, the worst first").gives::<NodesView>(),
        ),
        // A node says again and again how it is: the same twice is no second thing.
        (
            send("/nodes", Permission::Report),
            post(nodes::report),
            says("Report what the doctor of a node found")
                .takes_up_to::<Report>(nodes::REPORT_BYTES_MAX)
                .gives::<NodeView>(),
        ),
        (look("/policy"), get(look::policy), says("The policy in force").gives::<PolicyView>()),
        (
            look("/policy/proposal"),
            get(look::proposal),
            says("A policy proposed from what was pulled")
                .asks::<look::History>()
                .gives::<ProposalView>()
                .may(&[409, 500]),
        ),
        (
            send("/policy/rollbacks", Administer),
            post(decisions::allow_rollback),
            says("Let the next policy be older, once, within ten minutes")
                .takes::<RejudgeBody>()
                .gives::<RollbackAllowedView>()
                .may(&[409, 500]),
        ),
        (
            look("/public-keys"),
            get(keys::show),
            says("The public keys that sign summaries").gives::<PublicKeysView>().may(READING),
        ),
        (
            send("/public-keys", Administer),
            post(keys::rotate),
            says("Sign with a new key from now on").gives::<PublicKeysView>().may(READING),
        ),
        (
            look("/reevaluations"),
            get(decisions::reevaluated),
            says("What rests on signatures that upstream lost")
                .gives::<ReevaluatedView>()
                .may(READING),
        ),
        (
            send("/reevaluations", Administer),
            post(decisions::release_reevaluation),
            says("Take back what rests on signatures that upstream lost, without the brake")
                .takes::<RejudgeBody>()
                .gives::<ReevaluatedView>()
                .may(READING),
        ),
        (
            look("/rejudgements"),
            get(decisions::rejudge_dry),
            says("What deciding again would change").gives::<RejudgementView>().may(READING),
        ),
        (
            send("/rejudgements", Administer),
            post(decisions::rejudge),
            says("Decide again by the logic of this program")
                .takes::<RejudgeBody>()
                .gives::<RejudgementView>()
                .may(READING),
        ),
        (
            send("/scans/releases", Administer),
            post(decisions::release_scans),
            says("Judge every scanned image again, without the brake")
                .takes::<RejudgeBody>()
                .gives::<ScansReleasedView>()
                .may(READING),
        ),
        (
            look("/status"),
            get(look::status),
            says("How the mirror is").gives::<StatusView>().may(READING),
        ),
        (
            look("/webhooks"),
            get(webhooks::list),
            says("The webhooks, and how far each is").gives::<Vec<WebhookView>>(),
        ),
        (
            send("/webhooks/{name}/test", Administer),
            post(webhooks::test),
            says("Send a test to a webhook")
                .at::<String>()
                .gives::<WebhookTestView>()
                .may(&[404, 500]),
        ),
    ]
}

/// Who may do what.
fn about_people() -> Vec<Entry> {
    use Permission::Administer;
    vec![
        (
            look("/people"),
            get(persons::list),
            says("Everybody who may sign in")
                .asks::<paging::Stretch>()
                .gives::<Vec<PersonView>>()
                .paged(),
        ),
        (
            send("/people", Administer),
            post(persons::add),
            says("Let somebody in; tells their one-time secret")
                .takes::<PersonBody>()
                .creates::<InvitationView>()
                .secret()
                .may(&[409, 500]),
        ),
        (
            look("/people/{id}"),
            get(persons::show),
            says("Somebody who may sign in").at::<String>().gives::<PersonView>().may(&[404]),
        ),
        (
            send("/people/{id}", Administer),
            post(persons::change),
            says("Change what somebody may do")
                .at::<String>()
                .takes::<PersonChangeBody>()
                .gives::<PersonView>()
                .may(&[404, 409, 500]),
        ),
        (
            take_back("/people/{id}", Administer),
            delete(persons::remove),
            says("Let somebody in no more").at::<String>().may(&[404, 409, 500]),
        ),
        (
            send("/people/{id}/reset", Administer),
            post(persons::reset),
            says("Take somebody back to a one-time secret, and tell it")
                .at::<String>()
                .gives::<InvitationView>()
                .secret()
                .may(&[404, 409, 500]),
        ),
        (
            look("/tokens"),
            get(tokens::list),
            says("All tokens, without their secrets")
                .asks::<paging::Stretch>()
                .gives::<Vec<TokenView>>()
                .paged(),
        ),
        (
            send("/tokens", Administer),
            post(tokens::create),
            says("Make a token; tells its secret")
                .takes::<TokenBody>()
                .creates::<NewTokenView>()
                .secret()
                .may(&[404, 409, 500]),
        ),
        (
            take_back("/tokens/{name}", Administer),
            delete(tokens::revoke),
            says("End a token").at::<String>().may(&[404, 409, 500]),
        ),
    ]
}
