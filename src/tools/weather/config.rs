//! The addresses of `[tools.weather]`, made those of single questions.

use url::Url;

/// Why the weather tool cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WeatherError {
    /// An address that is not one of a web service.
    #[error("tools.weather: `{0}` is not an http or https address without query")]
    Address(Url),
    /// The HTTP client or its thread cannot be made.
    #[error("tools.weather: the HTTP client cannot be set up: {0}")]
    Client(String),
}

/// The address of `verb` below `base`, which may already hold the path or a part of it.
pub(super) fn endpoint(base: &Url, verb: &str) -> Result<Url, WeatherError> {
    let wrong = || WeatherError::Address(base.clone());
    if !matches!(base.scheme(), "http" | "https") || base.query().is_some() || base.fragment().is_some() {
        return Err(wrong());
    }
    let mut address = base.clone();
    let path = base.path().trim_end_matches('/');
    let path = path.strip_suffix(&format!("/v1/{verb}")).or_else(|| path.strip_suffix("/v1")).unwrap_or(path);
    address.set_path(&format!("{path}/v1/{verb}"));
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_hold_the_path_or_a_part_of_it() {
        for (base, whole) in [
            ("https://a.example", "https://a.example/v1/search"),
            ("https://a.example/", "https://a.example/v1/search"),
            ("http://a.example:81/v1/", "http://a.example:81/v1/search"),
            ("https://a.example/v1/search", "https://a.example/v1/search"),
            ("https://a.example/proxy", "https://a.example/proxy/v1/search"),
        ] {
            assert_eq!(endpoint(&base.parse().unwrap(), "search").unwrap().as_str(), whole);
        }
    }

    #[test]
    fn only_web_addresses_are_asked() {
        for base in ["ftp://a.example", "file:///etc/passwd", "data:x", "https://a.example?key=1"] {
            assert!(endpoint(&base.parse().unwrap(), "search").is_err(), "{base}");
        }
    }
}
