//! The rows of policy statements.

use super::{Context as C, Phase, Row};

pub(super) static ROWS: &[Row] = &[
    Row::new("cors", C::POLICIES, "{…}|none")
        .phase(Phase::Edge)
        .doc("which pages of other origins may call (Fetch standard)")
        .example("cors { origins \"https://shop.example\"; credentials }")
        .many(),
    Row::new("body", C::POLICIES, "max SIZE|none")
        .phase(Phase::Edge)
        .doc("how large a request body may be; 413 beyond")
        .example("body max 1MiB")
        .many(),
    Row::new("accepts", C::POLICIES, "\"TYPE\", …|none")
        .phase(Phase::Edge)
        .doc("which media types a request body may have; 415 otherwise")
        .example("accepts \"application/json\"")
        .many(),
    Row::new("auth", C::UNCONDITIONAL, "NAME [or NAME …]|optional NAME [or NAME …]|none")
        .phase(Phase::Authenticate)
        .doc("who may call")
        .example("auth none")
        .many(),
    Row::new("require", C::POLICIES, "[report-only] EXPR [else STATUS [\"TITLE\"]]")
        .phase(Phase::Authorize)
        .doc("what must hold, or the request is refused")
        .example("require client.ip != 192.0.2.7 else 403 \"not you\"")
        .many(),
    Row::new(
        "limit",
        C::POLICIES,
        "[report-only] RATE|INT [burst INT|fixed|concurrent] [exact] [by KEY] [else skip] [name NAME]",
    )
    .phase(Phase::Limit)
    .doc("how often; 429 beyond")
    .example("limit 10/s burst 20 by client.ip")
    .many(),
    Row::new("validate", C::POLICIES, "query|header|body {…}|schema \"FILE\"")
        .phase(Phase::Validate)
        .doc("what a request must look like")
        .example("validate body { sku: string, qty: int }")
        .many()
        .later(),
    Row::new("cache", C::POLICIES, "[DURATION] {…}|none")
        .phase(Phase::Cache)
        .doc("keeps answers (RFC 9111)")
        .example("cache 60s")
        .many()
        .later(),
    Row::new("request", C::POLICIES, "{ set|add|remove … }")
        .phase(Phase::Request)
        .doc("changes the request before it is sent on")
        .example("request { set header.x-shop = \"1\"; remove header.cookie }")
        .many(),
    Row::new("timeout", C::POLICIES, "total DURATION, response DURATION, idle DURATION|none")
        .phase(Phase::Target)
        .doc("how long the exchange, the first byte, and a pause may take")
        .example("timeout total 5s, response 2s")
        .many(),
    Row::new(
        "retry",
        C::POLICIES,
        "[INT] [on connect|reset|timeout|STATUS, …] [budget PERCENT] [backoff DURATION..DURATION]|none",
    )
    .phase(Phase::Target)
    .doc("what is tried again, how often")
    .example("retry 2 on connect, 503 budget 20% backoff 25ms..1s")
    .many(),
    Row::new("mirror", C::POLICIES, "PERCENT to NAME")
        .phase(Phase::Target)
        .doc("sends copies of requests elsewhere, whose answers nobody waits for")
        .example("mirror 5% to shadow")
        .many(),
    Row::new("response", C::POLICIES, "{ set|add|remove … }")
        .phase(Phase::Response)
        .doc("changes every answer, refusals included")
        .example("response { set header.x-frame-options = \"DENY\"; remove header.server }")
        .many(),
    Row::new("compress", C::POLICIES, "…")
        .phase(Phase::Response)
        .doc("compresses answers")
        .example("compress")
        .many()
        .later(),
    Row::new("on", C::POLICIES, "error [KIND, …] respond STATUS …|upstream STATUS, … respond STATUS …")
        .phase(Phase::Response)
        .doc("answers in place of the gateway's failures, or of an upstream's statuses")
        .example("on error upstream-timeout, upstream-connect respond 503 problem \"the shop is busy\"")
        .many(),
    Row::new("tag", C::POLICIES, "NAME = EXPR")
        .phase(Phase::Record)
        .doc("a name and value for logs")
        .example("tag team = \"orders\"")
        .many(),
    Row::new("log", C::POLICIES, "NAME = EXPR, …|EXPR, …|none")
        .phase(Phase::Record)
        .doc("fields added to the access log; `none` writes no line")
        .example("log agent = header.user-agent")
        .many(),
    Row::new("use", C::POLICIES, "NAME[(EXPR, …)]")
        .doc("puts the statements of a policy here")
        .example("use metered(100/min)")
        .many(),
    Row::new("when", C::POLICIES, "EXPR {…}")
        .doc("several statements under one condition")
        .example("when method == POST { body max 10MiB }")
        .many(),
];
