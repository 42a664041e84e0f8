//! Who may see the page: whoever knows its token, or else whoever asks for it by a name of this machine.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
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

/// What the browser may do with the page: show it, and talk to nobody but its server.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Lets a request pass, or refuses it.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match guard.refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
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
    /// The answer to a request that may not see the page.
    fn refusal(&self, request: &Request) -> Option<Response> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let bearer = header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let token = request.uri().query().and_then(token_in);
        let token = token.or(bearer.map(|token| token.as_bytes().to_vec()));
        if !self.is_known(token.as_deref()) {
            let how = [(header::WWW_AUTHENTICATE, "Bearer")];
            return Some((StatusCode::UNAUTHORIZED, how, "this page needs its token\n").into_response());
        }
        if self.only_local && !header(header::HOST).is_some_and(is_local) {
            let why = "this page is served to this machine only\n";
            return Some((StatusCode::MISDIRECTED_REQUEST, why).into_response());
        }
        None
    }

    /// Whether no token is needed, or this is the one. How long that takes tells its length at most.
    fn is_known(&self, given: Option<&[u8]>) -> bool {
        let Some(token) = &self.token else { return true };
        given.is_some_and(|given| given.ct_eq(token.expose_secret().as_bytes()).into())
    }
}

/// The token in the query of an address.
fn token_in(query: &str) -> Option<Vec<u8>> {
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    Some(percent_decode_str(token).collect())
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
        assert!(guard.is_known(Some(b"secret")));
        for wrong in [None, Some(""), Some("secre"), Some("secret2"), Some("Secret")] {
            assert!(!guard.is_known(wrong.map(str::as_bytes)), "{wrong:?}");
        }
        assert!(Guard::default().is_known(None));
    }

    #[test]
    fn a_token_is_read_from_an_address() {
        assert_eq!(token_in("a=b&token=to%20%26ken"), Some(b"to &ken".to_vec()));
        assert_eq!(token_in("tokens=x"), None);
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
