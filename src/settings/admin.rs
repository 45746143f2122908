//! `[admin]`: the second listener, for the operator.

use std::net::IpAddr;

use serde::Deserialize;

use super::{kind::Kind, problem::Report, schema::Key, server};

/// The keys of `[admin]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "admin.host",
        Kind::Address,
        "IP address of the second listener; production accepts loopback only.",
    ),
    Key::new(
        "admin.port",
        Kind::Whole(0, 65_535),
        "TCP port of the second listener, 0 to 65535; 0 takes any free one.",
    ),
    Key::new(
        "admin.unsafe_metrics_on_main",
        Kind::Flag,
        "true serves /metrics on the main listener too, open to everybody.",
    ),
    Key::new(
        "admin.unsafe_faults",
        Kind::Flag,
        "true lets POST /admin/faults/<actor> make that actor panic; production refuses it.",
    ),
];

/// `[admin]`: the second listener, which serves metrics and administration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// Address to listen on.
    #[serde(deserialize_with = "server::read_address")]
    pub host: IpAddr,
    /// Port to listen on; 0 takes any free one.
    pub port: u16,
    /// `/metrics` on the main listener too, open to everybody.
    pub unsafe_metrics_on_main: bool,
    /// `POST /admin/faults/<actor>` makes that actor panic.
    pub unsafe_faults: bool,
}

impl AdminSettings {
    pub(super) fn check(&self, report: &mut Report) {
        if !self.host.is_loopback() {
            let fix = "listen on 127.0.0.1 and forward to it";
            report.refuse_in_production("admin.host", "opens metrics and administration to others", fix);
        }
        if self.unsafe_faults && report.is_production() {
            report.refuse(
                "admin.unsafe_faults",
                "lets a request crash parts of the server",
                "set it to false",
            );
        }
        if self.unsafe_metrics_on_main && report.is_production() {
            report.warn(
                "admin.unsafe_metrics_on_main",
                "shows the metrics to everybody who reaches the main listener",
                "set it to false and read them on the admin listener",
            );
        }
    }
}
