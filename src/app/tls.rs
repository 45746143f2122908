//! TLS of the main listener: a static certificate and key.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::AppError;
use crate::settings::Settings;

/// The configuration for a certificate chain and its key, both PEM. TLS 1.2 and 1.3, HTTP/1.1.
///
/// # Errors
/// [`AppError::Tls`] naming the file: unreadable, empty, or a key that is not the certificate's.
pub(super) fn configuration(certificate: &Path, private_key: &Path) -> Result<ServerConfig, AppError> {
    let broken = |path: &Path, what: &str| AppError::Tls(format!("{}: {what}", path.display()));
    let file = File::open(certificate).map_err(|cause| broken(certificate, &cause.to_string()))?;
    let chain = CertificateDer::pem_reader_iter(BufReader::new(file)).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| broken(certificate, "is not a PEM certificate"))?;
    if chain.is_empty() {
        return Err(broken(certificate, "holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(private_key)
        .map_err(|_| broken(private_key, "holds no PEM private key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| AppError::Tls(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| broken(private_key, &format!("does not go with the certificate: {error}")))
}

/// Loads certificate and key of `settings`, if there are any, and lets go of them again.
///
/// # Errors
/// [`AppError::Tls`].
pub fn check(settings: &Settings) -> Result<(), AppError> {
    settings.server.tls.files().map_or(Ok(()), |(certificate, key)| configuration(certificate, key).map(drop))
}
