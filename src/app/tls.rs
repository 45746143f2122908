//! TLS of the main listener: a static certificate and key.

use std::{
    fs::{self, File},
    io::BufReader,
    path::Path,
    sync::Arc,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

use super::AppError;
use crate::settings::Settings;

/// The key that names the file of the certificate chain.
const CERTIFICATE: &str = "server.tls.certificate";
/// The key that names the file of its key.
const PRIVATE_KEY: &str = "server.tls.private_key";

/// The configuration for a certificate chain and its key, both PEM. TLS 1.2 and 1.3, HTTP/1.1.
///
/// # Errors
/// [`AppError::Setting`] with the key and the file: unreadable, empty, or a key that is not the
/// certificate's.
pub(super) fn configuration(certificate: &Path, private_key: &Path) -> Result<ServerConfig, AppError> {
    let chain = chain(certificate)?;
    let key = PrivateKeyDer::from_pem_file(private_key)
        .map_err(|_| broken(PRIVATE_KEY, private_key, "holds no PEM private key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(CERTIFICATE, certificate, &error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            broken(PRIVATE_KEY, private_key, &format!("does not go with the certificate: {error}"))
        })
}

fn chain(certificate: &Path) -> Result<Vec<CertificateDer<'static>>, AppError> {
    let broken = |what: &str| broken(CERTIFICATE, certificate, what);
    let file = File::open(certificate).map_err(|cause| broken(&cause.to_string()))?;
    let chain = CertificateDer::pem_reader_iter(BufReader::new(file)).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| broken("is not a PEM certificate"))?;
    if chain.is_empty() { Err(broken("holds no certificate")) } else { Ok(chain) }
}

/// The text of a PEM file that holds a certificate. `key` names it.
///
/// # Errors
/// [`AppError::Setting`].
pub(super) fn pem(key: &'static str, path: &Path) -> Result<Vec<u8>, AppError> {
    let text = fs::read(path).map_err(|cause| broken(key, path, &cause.to_string()))?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(text),
        _ => Err(broken(key, path, "holds no PEM certificate")),
    }
}

/// The text of a PEM file that holds a private key. `key` names it.
///
/// # Errors
/// [`AppError::Setting`].
pub(super) fn private_pem(key: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, AppError> {
    let text = fs::read(path).map(Zeroizing::new).map_err(|cause| broken(key, path, &cause.to_string()))?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(broken(key, path, "holds no PEM private key")),
    }
}

fn broken(key: &'static str, path: &Path, what: &str) -> AppError {
    AppError::Setting { key, problem: format!("{}: {what}", path.display()) }
}

/// Loads certificate and key of `settings`, if there are any, and lets go of them again.
///
/// # Errors
/// [`AppError::Setting`].
pub fn check(settings: &Settings) -> Result<(), AppError> {
    settings.server.tls.files().map_or(Ok(()), |(certificate, key)| configuration(certificate, key).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_load_is_named_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let [mine, other] =
            [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".into()]).unwrap());
        let certificate = write("cert.pem", &mine.cert.pem());
        let key = write("key.pem", &mine.signing_key.serialize_pem());
        let foreign = write("other.pem", &other.signing_key.serialize_pem());
        let empty = write("empty.pem", "");
        assert!(configuration(&certificate, &key).is_ok());
        for (certificate, key, named) in [
            (&empty, &key, CERTIFICATE),
            (&folder.path().join("nowhere"), &key, CERTIFICATE),
            (&certificate, &empty, PRIVATE_KEY),
            (&certificate, &foreign, PRIVATE_KEY),
        ] {
            assert_eq!(configuration(certificate, key).unwrap_err().problem().key, named);
        }
    }
}
