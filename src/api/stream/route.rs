//! `stream`: the request that begins one.

use super::hub::{LISTENERS, StreamHub, StreamJoin, StreamLine};
use super::place::StreamPlace;
use super::wanted::StreamWanted;
use crate::api::parameters::Parameters;
use crate::api::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};
use crate::api::question::{
    AnswerTold, ParameterKind, ParameterTold, RouteTold, STREAM_ASSAY_PARAMETER,
    STREAM_LAB_PARAMETER, STREAM_TABLE_PARAMETER,
};
use crate::lake::read::Scope;

/// The parameter that says what the header `Last-Event-ID` says, for clients that cannot set it.
const LAST_EVENT: &str = "last_event_id";
/// How long a caller for whom there is no place should wait.
const WAIT_S: u64 = 10;

/// What the API's description says of it.
pub fn told() -> RouteTold {
    let last = ParameterTold {
        name: LAST_EVENT,
        description: "where to go on, as the header `Last-Event-ID`: the id of the last event",
        many: false,
        kind: ParameterKind::Text,
    };
    RouteTold {
        path: "/stream",
        is_open: false,
        summary: "Server-sent events: each row and alert as it fires. Does not end by itself.",
        parameters: vec![
            STREAM_TABLE_PARAMETER,
            STREAM_LAB_PARAMETER,
            STREAM_ASSAY_PARAMETER,
            last,
        ],
        answer: AnswerTold::Events,
    }
}

/// Begins a stream.
///
/// # Errors
/// Where a parameter is wrong, or there is no place.
pub fn begin(
    hub: &StreamHub,
    scope: Scope,
    mut parameters: Parameters,
    last_event: Option<&str>,
) -> Result<StreamLine, NoAnswer> {
    let wanted = StreamWanted::take(&mut parameters);
    let asked = parameters.one(LAST_EVENT)?;
    parameters.end()?;
    if let Some(lab) = wanted.labs.iter().find(|lab| !scope.holds(lab)) {
        let text = format!("there is no laboratory {}", quoted(lab));
        return Err(ProblemDetails::new(ProblemKind::Lab, text).of("lab"));
    }
    let last = last_event.filter(|text| !text.is_empty()).map(str::to_owned).or(asked);
    let from = last.map(|text| {
        StreamPlace::parse(&text).ok_or_else(|| {
            let text =
                format!("{} is the id of no event; leave it out to begin now", quoted(&text));
            ProblemDetails::new(ProblemKind::Value, text).of("Last-Event-ID")
        })
    });
    let join = StreamJoin { scope, wanted, from: from.transpose()? };
    hub.join(join).map_err(|_| {
        let text = format!("{LISTENERS} listen already; try again in a while");
        ProblemDetails::new(ProblemKind::TooMany, text).retry_after(WAIT_S)
    })
}
