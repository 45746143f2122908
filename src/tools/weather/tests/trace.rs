//! What the weather service is told of the trace of a call.

use super::*;
use crate::{policy::CallTool, policy::permit_for_tests, protocol::Envelope, tools::Call};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_service_is_told_of_the_trace_and_of_nothing_else_that_the_client_says_of_it() {
    let bench = Bench::new().await;
    bench.answer("/v1/search", ResponseTemplate::new(200).set_body_json(oslo())).await;
    bench.answer("/v1/forecast", ResponseTemplate::new(200).set_body_json(overcast())).await;
    let meta = json!({ "traceparent": PARENT, "tracestate": "a=1", "baggage": "user=ada" });
    let text = json!({ "jsonrpc": "2.0", "id": 1, "method": "x", "params": { "_meta": meta } }).to_string();
    let envelope = Envelope::parse(text.as_bytes()).unwrap();
    let permit = permit_for_tests::<CallTool>();
    let call = Call::new(&permit).traced(envelope.params.meta.trace());
    bench.stations.latest_in("Oslo", call.trace()).await.unwrap();
    bench.stations.latest("Bergen").await.unwrap();

    let requests = bench.server.received_requests().await.unwrap();
    let told: Vec<_> = requests
        .iter()
        .map(|request| request.headers.get("traceparent").map(|it| it.to_str().unwrap()))
        .collect();
    assert_eq!(told, [Some(PARENT), Some(PARENT), None, None]);
    for request in &requests {
        assert!(request.headers.get("tracestate").is_none() && request.headers.get("baggage").is_none());
    }
}
