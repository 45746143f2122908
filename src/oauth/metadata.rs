//! What an OAuth client needs to know of this resource (RFC 9728), open to everybody.

use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, ServiceConfig},
};
use serde_json::json;

use super::public;

/// Where the metadata lies: at the root form and behind the endpoint's own path (A1).
pub(crate) const PATHS: [&str; 2] =
    ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"];

/// The protected resource metadata, serialised once.
#[derive(Debug, Clone)]
pub(crate) struct ResourceMetadata(Bytes);

impl ResourceMetadata {
    /// Metadata of the resource `resource` called `name`, whose tokens come from `issuer`. `scopes` is what
    /// a client asks for to begin with, not everything there is.
    pub(crate) fn new(resource: &str, name: &str, issuer: &str, scopes: &[&str]) -> Self {
        let metadata = json!({
            "resource": resource,
            "authorization_servers": [issuer],
            "scopes_supported": scopes,
            "bearer_methods_supported": ["header"],
            "resource_name": name,
        });
        Self(Bytes::from(metadata.to_string()))
    }
}

/// Adds the two metadata paths.
pub(super) fn routes(app: &mut ServiceConfig) {
    for path in PATHS {
        app.route(path, web::get().to(show));
    }
}

/// Says the same to everybody: it names the configured resource, never the `Host` of the request.
async fn show(metadata: Data<ResourceMetadata>) -> HttpResponse {
    public(metadata.0.clone())
}
