//! Who may see the page: whoever knows its token, or else whoever asks for it by a name of this machine.

use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq;

/// What a request has to bring.
#[derive(Clone, Default)]
pub(super) struct Guard {
    /// The token that it has to know.
    pub(super) token: Option<SecretString>,
    /// Whether it has to name this machine: a page of another site can make a browser ask here under a name
    /// of that site, and would read the answer.
    pub(super) only_local: bool,
}

#[derive(Default, Deserialize)]
struct Asked {
    token: Option<String>,
}

/// What the browser may do with the page: show it, and talk to nobody but its server.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Lets a request pass, or refuses it.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let asked = Query::<Asked>::from_request_parts(&mut parts, &()).await;
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let mut response = if !guard.is_known(asked.token.as_deref().or(bearer)) {
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "this page needs its token\n")
            .into_response()
    } else if guard.only_local && !header(header::HOST).is_some_and(is_local) {
        (StatusCode::MISDIRECTED_REQUEST, "this page is served to this machine only\n").into_response()
    } else {
        next.run(Request::from_parts(parts, body)).await
    };
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

impl Guard {
    /// Whether no token is needed, or this is the one. How long that takes tells its length at most.
    fn is_known(&self, given: Option<&str>) -> bool {
        let Some(token) = &self.token else { return true };
        given.is_some_and(|given| given.as_bytes().ct_eq(token.expose_secret().as_bytes()).into())
    }
}

/// Whether the name that a browser asked for is one of this machine, with or without a port.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens() {
        let guard = Guard { token: Some("secret".into()), only_local: false };
        assert!(guard.is_known(Some("secret")));
        for wrong in [None, Some(""), Some("secre"), Some("secret2"), Some("Secret")] {
            assert!(!guard.is_known(wrong), "{wrong:?}");
        }
        assert!(Guard::default().is_known(None));
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "127.1.2.3"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1:80", ""] {
            assert!(!is_local(host), "{host}");
        }
    }
}
