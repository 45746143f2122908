//! Inputs that are meant to hurt, each with the answer that it deserves.

mod older;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

/// One kind of hostile request.
pub(crate) struct Hostile {
    /// What it is.
    pub(crate) name: &'static str,
    /// The request, different for each number.
    pub(crate) bytes: Box<dyn Fn(u64) -> Vec<u8>>,
    /// The status that it is answered with.
    pub(crate) status: u16,
    /// What it is held against.
    pub(crate) fair: Fair,
}

/// The good request that a hostile one may cost a multiple of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fair {
    /// A call of the modern revision.
    Modern,
    /// A call of an older one.
    Older,
    /// A batch of so many calls.
    Batch(usize),
}

impl Fair {
    /// A good request of that kind, of at least its least size.
    pub(crate) fn good(self, token: &str, size: usize) -> Vec<u8> {
        match self {
            Self::Modern => good(token, size),
            Self::Older => older::good(token, size),
            Self::Batch(count) => older::good_batch(token, size, count),
        }
    }
}

/// The header that `token` stands in.
fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// An object of so many members and one more.
fn members(count: usize, last: &str) -> String {
    let members: Vec<String> = (0..count).map(|n| format!("\"member{n:05}\":{n}")).collect();
    format!("{{{},\"{last}\":0}}", members.join(","))
}

/// A list that takes about `room` bytes: small objects as clients write them and, where that would be too many
/// values, plain text.
fn trail(room: usize) -> String {
    let item = r#"{"step":12345,"note":"as people write","done":false},"#;
    let items = (room / item.len()).min(1_200);
    format!("[{}\"{}\"]", item.repeat(items), "a".repeat(room - items * item.len()))
}

/// A request on `/mcp` with further header lines and this body.
fn request(credential: &str, (method, name): (&str, &str), further: &str, body: &str) -> Vec<u8> {
    let mut head = format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n\
         mcp-method: {method}\r\n"
    );
    if !name.is_empty() {
        head.push_str(&format!("mcp-name: {name}\r\n"));
    }
    format!("{head}{credential}{further}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A body of a call whose arguments and further members of `_meta` are these JSON texts.
fn call(tool: &str, arguments: &str, meta: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\
         \"arguments\":{arguments},\"_meta\":{{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\
         \"io.modelcontextprotocol/clientCapabilities\":{{}}{meta}}}}}}}"
    )
}

/// A good call of as many bytes as `size`, or its least size: what is too much is said in `_meta`.
pub(crate) fn good(token: &str, size: usize) -> Vec<u8> {
    let credential = bearer(token);
    let with = |meta: &str| {
        request(
            &credential,
            ("tools/call", "get_weather"),
            "",
            &call("get_weather", r#"{"city":"Oslo"}"#, meta),
        )
    };
    let least = with("").len();
    if size < least + 80 {
        return with("");
    }
    with(&format!(",\"example.com/trail\":{}", trail(size - least - 60)))
}

/// A good call that asks for a file.
pub(crate) fn file(token: &str, path: &str) -> Vec<u8> {
    let credential = format!("authorization: Bearer {token}\r\n");
    let body = call("read_file", &format!("{{\"path\":\"{path}\"}}"), "");
    request(&credential, ("tools/call", "read_file"), "", &body)
}

/// The head of a good call that announces a body of `length`, and nothing of that body.
pub(crate) fn head(token: &str, length: usize) -> Vec<u8> {
    let whole = request(&bearer(token), ("tools/call", "get_weather"), "", "");
    let text = String::from_utf8(whole).unwrap();
    text.replace("content-length: 0", &format!("content-length: {length}")).into_bytes()
}

/// Every kind of hostile request, sent with `token` where a credential is needed to get so far.
pub(crate) fn inputs(token: &str) -> Vec<Hostile> {
    let credential = bearer(token);
    let mut all = bodies(&credential);
    all.extend(older::inputs(&credential));
    all.extend(names(&credential));
    all.extend(heads(&credential));
    all.extend(credentials(token));
    all
}

fn hostile(name: &'static str, status: u16, bytes: impl Fn(u64) -> Vec<u8> + 'static) -> Hostile {
    Hostile { name, status, bytes: Box::new(bytes), fair: Fair::Modern }
}

/// Bodies that are built to cost.
fn bodies(credential: &str) -> Vec<Hostile> {
    let weather = |name: &'static str, status: u16, arguments: String| {
        let bytes =
            request(credential, ("tools/call", "get_weather"), "", &call("get_weather", &arguments, ""));
        hostile(name, status, move |_| bytes.clone())
    };
    let raw = |name: &'static str, body: Vec<u8>| {
        let text = "~".repeat(body.len());
        let bytes = request(credential, ("tools/call", "get_weather"), "", &text);
        let whole = [&bytes[..bytes.len() - body.len()], &body].concat();
        hostile(name, 400, move |_| whole.clone())
    };
    vec![
        weather("nested 100 deep", 200, format!("{{\"city\":{}1{}}}", "[".repeat(100), "]".repeat(100))),
        weather("nested 100 000 deep", 400, format!("{{\"city\":{}", "[".repeat(100_000))),
        weather("9 000 values", 200, format!("{{\"city\":[{}0]}}", "0,".repeat(9_000))),
        weather("4 500 empty arrays", 200, format!("{{\"city\":[{}0]}}", "[],".repeat(4_500))),
        weather("300 000 values", 400, format!("{{\"city\":[{}0]}}", "0,".repeat(300_000))),
        weather("4 000 unknown arguments", 200, members(4_000, "city2")),
        weather("a member doubled among 4 000", 400, members(4_000, "member00000")),
        weather("a member doubled by an escape", 400, members(4_000, "\\u006dember00001")),
        weather("a number of 200 000 digits", 400, format!("{{\"city\":{}}}", "1".repeat(200_000))),
        weather("a number of 200 000 decimals", 200, format!("{{\"city\":0.{}}}", "1".repeat(200_000))),
        weather("20 000 escapes", 200, format!("{{\"city\":\"{}\"}}", "\\u00e9".repeat(20_000))),
        weather(
            "20 000 surrogate pairs",
            200,
            format!("{{\"city\":\"{}\"}}", "\\ud83d\\ude00".repeat(20_000)),
        ),
        weather("a text of 1 MB", 200, format!("{{\"city\":\"{}\"}}", "x".repeat(1 << 20))),
        weather("a name of 1 MB", 200, format!("{{\"{}\":1}}", "x".repeat(1 << 20))),
        weather("a text of 100 000 quotes", 200, format!("{{\"city\":\"{}\"}}", "\\\"".repeat(100_000))),
        weather("no object", 200, "[1,2,3]".into()),
        raw("4 MiB of brackets", vec![b'['; 4 << 20]),
        raw("4 MiB of blanks", vec![b' '; 4 << 20]),
        raw("no UTF-8 at the end of 1 MB", [vec![b'"'; 1], vec![b'a'; 1 << 20], vec![0xff, b'"']].concat()),
        raw("a batch of 1 000", format!("[{}1]", "{\"jsonrpc\":\"2.0\",\"id\":1},".repeat(1_000)).into()),
        raw("no JSON", b"GET / HTTP/1.1".to_vec()),
    ]
}

/// Names that nobody has.
fn names(credential: &str) -> Vec<Hostile> {
    let own = || credential.to_owned();
    let (first, second, third, fourth) = (own(), own(), own(), own());
    vec![
        hostile("an unknown tool", 200, move |n| {
            let name = format!("tool-{n}");
            request(&first, ("tools/call", &name), "", &call(&name, "{}", ""))
        }),
        hostile("an unknown tool of 8 000 bytes", 200, move |n| {
            let name = format!("{n}-{}", "x".repeat(8_000));
            request(&second, ("tools/call", &name), "", &call(&name, "{}", ""))
        }),
        hostile("an unknown method", 404, move |n| {
            let method = format!("method/{n}");
            let body = call("x", "{}", "").replace("tools/call", &method);
            request(&third, (&method, ""), "", &body)
        }),
        hostile("a name in base64 that is none", 400, move |n| {
            let name = format!("=?base64?{}{n}?=", "A".repeat(8_000));
            request(&fourth, ("tools/call", &name), "", &call("get_weather", "{}", ""))
        }),
    ]
}

/// Heads that are built to cost.
fn heads(credential: &str) -> Vec<Hostile> {
    let with = |name: &'static str, status: u16, further: String| {
        let body = call("get_weather", r#"{"city":"Oslo"}"#, "");
        let bytes = request(credential, ("tools/call", "get_weather"), &further, &body);
        hostile(name, status, move |_| bytes.clone())
    };
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: {n}\r\n")).collect::<String>();
    vec![
        with("80 further headers", 200, many(80)),
        with("one header of 15 000 bytes", 200, format!("x-a: {}\r\n", "x".repeat(15_000))),
        with("one header of 20 000 bytes", 431, format!("x-a: {}\r\n", "x".repeat(20_000))),
        with("an origin of 8 000 bytes", 403, format!("origin: http://{}\r\n", "a.".repeat(4_000))),
        with(
            "forwarded by 1 000",
            200,
            format!("x-forwarded-for: {}\r\n", "1.2.3.4, ".repeat(1_000) + "1.2.3.4"),
        ),
    ]
}

/// Credentials that prove nothing.
fn credentials(token: &str) -> Vec<Hostile> {
    let (_, claims) = token.split_once('.').unwrap();
    let (claims, _) = claims.split_once('.').unwrap();
    let call_with = |credential: String| {
        request(
            &credential,
            ("tools/call", "get_weather"),
            "",
            &call("get_weather", r#"{"city":"Oslo"}"#, ""),
        )
    };
    let forged = |name: &'static str, header: serde_json::Value| {
        let message = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header.to_string()));
        hostile(name, 401, move |n| {
            let signature = URL_SAFE_NO_PAD.encode([n.to_le_bytes(); 8].concat());
            call_with(format!("authorization: Bearer {message}.{signature}\r\n"))
        })
    };
    let shape = |alg: &str| json!({ "alg": alg, "typ": "at+jwt" });
    vec![
        forged("a forged HS256", shape("HS256")),
        forged("a forged none", shape("none")),
        forged("a forged RS256", shape("RS256")),
        forged("a forged ES256", shape("ES256")),
        forged("a forged EdDSA", shape("EdDSA")),
        forged("a forged HS512", shape("HS512")),
        forged("an unknown key id", json!({ "alg": "HS256", "typ": "at+jwt", "kid": "../../dev/null" })),
        hostile("a token of 8 000 bytes", 401, move |n| {
            call_with(format!("authorization: Bearer {n}{}\r\n", "A.".repeat(4_000)))
        }),
        hostile("an API key that nobody has", 401, move |n| call_with(format!("x-api-key: mcp_{n:043}\r\n"))),
        hostile("two credentials", 400, move |n| {
            call_with(format!("authorization: Bearer {n}\r\nx-api-key: mcp_{n:043}\r\n"))
        }),
        hostile("no credential", 401, move |_| call_with(String::new())),
    ]
}
