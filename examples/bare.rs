//! The yardstick of every benchmark: actix-web that reads a request of about 400 bytes and answers 250 fixed ones.
//!
//! Same flags and same headers as ours, and nothing else: no parsing, no caller, no record. A figure of
//! Portcullis is a ratio to this program in the same run on the same machine (`benches/README.md`).
//!
//! `cargo run --release --example bare -- --port 8081 --workers 1`

use std::{io, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    http::header::{self, HeaderName, HeaderValue},
    web,
};

/// What a tool call answers, to the byte about as long as ours.
const ANSWER: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"22 degrees"}],"#,
    r#""structuredContent":{"city":"Oslo","temperature":22.0,"condition":"Sunny","#,
    r#""timestamp":"2026-11-22T10:00:00Z","source":"fixed"},"isError":false}}"#
);

/// What ours lets a browser do with an answer.
const CONTENT_SECURITY: &str = "default-src 'none'; frame-ancestors 'none'";
/// The request id that ours would make anew.
const REQUEST_ID: &str = "0199f0a0-0000-7000-8000-000000000000";

#[actix_web::main]
async fn main() -> io::Result<()> {
    let (mut port, mut workers) = (8081, 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (name.as_str(), value) {
            ("--port", Some(value)) => port = value,
            ("--workers", Some(value)) => workers = usize::from(value),
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "usage: bare [--port N] [--workers N]",
                ));
            }
        }
    }
    let server = HttpServer::new(|| App::new().route("/mcp", web::post().to(answer)))
        .workers(workers)
        .h1_allow_half_closed(false)
        .max_connections(20_000)
        .client_request_timeout(Duration::from_secs(5))
        .bind(("127.0.0.1", port))?;
    println!("{}", server.addrs().first().map(|addr| format!("http://{addr}/mcp")).unwrap_or_default());
    server.run().await
}

/// Reads the body to its end, as a server must, and says the same every time.
async fn answer(body: web::Bytes) -> HttpResponse {
    std::hint::black_box(&body);
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((header::VARY, HeaderValue::from_static("authorization")))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY)))
        .insert_header((HeaderName::from_static("x-request-id"), HeaderValue::from_static(REQUEST_ID)))
        .body(ANSWER)
}
