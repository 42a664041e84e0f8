//! Connection strings: what is wrong with one, which of its options are of other drivers, and what of it is
//! secret. No message repeats any part of a connection string.

use std::fmt;

use serde::Deserialize;

/// Options that the driver knows and supports, in lower case. Others are ignored, as the drivers'
/// specification wants it: <https://github.com/mongodb/specifications/tree/master/source/uri-options>.
const KNOWN: [&str; 39] = [
    "appname",
    "authmechanism",
    "authmechanismproperties",
    "authsource",
    "compressors",
    "connecttimeoutms",
    "directconnection",
    "heartbeatfrequencyms",
    "journal",
    "loadbalanced",
    "localthresholdms",
    "maxconnecting",
    "maxidletimems",
    "maxpoolsize",
    "maxstalenessseconds",
    "minpoolsize",
    "proxyhost",
    "proxypassword",
    "proxyport",
    "proxyusername",
    "readconcernlevel",
    "readpreference",
    "readpreferencetags",
    "replicaset",
    "retryreads",
    "retrywrites",
    "servermonitoringmode",
    "serverselectiontimeoutms",
    "srvmaxhosts",
    "srvservicename",
    "ssl",
    "tls",
    "tlsallowinvalidcertificates",
    "tlscafile",
    "tlscertificatekeyfile",
    "tlsinsecure",
    "w",
    "waitqueuetimeoutms",
    "wtimeoutms",
];
/// The compressors that are built in.
const COMPRESSORS: [&str; 1] = ["zstd"];
/// Stands for what is secret.
const HIDDEN: &str = "***";

/// A connection string, which is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ConnectionString(String);

impl ConnectionString {
    /// The text.
    #[must_use]
    pub fn expose(self) -> String {
        self.0
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

/// The parts of a connection string.
struct Parts<'a> {
    /// User name and password, as they are written.
    user: Option<&'a str>,
    hosts: &'a str,
    /// The rest, from the first `/` or `?` on.
    rest: &'a str,
}

fn parts(uri: &str) -> Option<Parts<'_>> {
    let scheme = ["mongodb://", "mongodb+srv://"].into_iter().find(|scheme| uri.starts_with(scheme))?;
    let body = uri.strip_prefix(scheme)?;
    let (authority, rest) = body.split_at(body.find(['/', '?']).unwrap_or(body.len()));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (Some(user), hosts),
        None => (None, authority),
    };
    Some(Parts { user, hosts, rest })
}

/// The problem of a connection string; `None` if none is seen.
#[must_use]
pub(crate) fn problem(uri: &str) -> Option<&'static str> {
    let Some(parts) = parts(uri) else {
        return Some("the URI has to begin with mongodb:// or mongodb+srv://");
    };
    let path = parts.rest.split_once('=').map_or(parts.rest, |(path, _)| path);
    let is_user = |user: &str| {
        let odd = |char: char| "/?#[]@".contains(char) || char.is_whitespace() || char.is_control();
        !user.contains(odd) && user.matches(':').count() <= 1 && is_encoded(user)
    };
    if path.contains('@') || !parts.user.is_none_or(is_user) {
        return Some(
            "the URI can't be read: in a user name or a password, each of the characters : / ? # [ ] @ % and \
             blanks has to be written as % and two hexadecimal digits (@ as %40, for example)",
        );
    }
    if !parts.hosts.split(',').all(is_host) {
        return Some(
            "the URI can't be read: it is not of the form \
             mongodb://[USER:PASSWORD@]HOST[:PORT][,…]/[?OPTIONS]; in a user name or a password, each of \
             the characters : / ? # [ ] @ % has to be written as % and two hexadecimal digits",
        );
    }
    None
}

fn is_encoded(text: &str) -> bool {
    let hex = |char: Option<char>| char.is_some_and(|char| char.is_ascii_hexdigit());
    text.split('%').skip(1).all(|rest| {
        let mut chars = rest.chars();
        hex(chars.next()) && hex(chars.next())
    })
}

fn is_host(host: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|char| !char.is_whitespace() && !char.is_control() && char != ':')
    };
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => !address.is_empty(),
        Some((_, rest)) => rest.strip_prefix(':').is_some_and(is_port),
        None => match host.split_once(':') {
            Some((name, port)) => is_name(name) && is_port(port),
            None => is_name(host),
        },
    }
}

/// The connection string without options that the driver doesn't know, with what was left out.
#[must_use]
pub(crate) fn without_foreign(uri: &str) -> (String, Vec<String>) {
    let Some((before, query)) = uri.split_once('?') else { return (uri.to_owned(), Vec::new()) };
    let (mut kept, mut ignored) = (Vec::new(), Vec::new());
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let lower = name.to_ascii_lowercase();
        if !KNOWN.contains(&lower.as_str()) {
            ignored.push(shown(name));
        } else if lower == "compressors" {
            let (built_in, others): (Vec<&str>, Vec<&str>) =
                value.split(',').partition(|compressor| COMPRESSORS.contains(compressor));
            ignored.extend(others.iter().map(|other| format!("{name}={}", shown(other))));
            if !built_in.is_empty() {
                kept.push(format!("{name}={}", built_in.join(",")));
            }
        } else {
            kept.push(option.to_owned());
        }
    }
    (format!("{before}?{}", kept.join("&")), ignored)
}

/// The name of an option, unless it may be something else.
fn shown(name: &str) -> String {
    let is_plain = name.len() <= 40 && name.chars().all(|char| char.is_ascii_alphanumeric());
    if is_plain { name.to_owned() } else { HIDDEN.to_owned() }
}

/// A text without what is secret in a connection string: user name and password, and values of options that
/// carry one.
#[must_use]
pub(crate) fn without_secrets(text: &str, uri: &str) -> String {
    let Some(parts) = parts(uri) else { return HIDDEN.to_owned() };
    let user = parts.user.into_iter().flat_map(|user| std::iter::once(user).chain(user.split(':')));
    let query = parts.rest.split_once('?').map_or("", |(_, query)| query);
    let is_secret = |name: &str| {
        let lower = name.to_ascii_lowercase();
        lower.contains("password") || lower == "authmechanismproperties"
    };
    let options = query.split('&').filter_map(|option| option.split_once('='));
    let values = options.filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
    let mut secrets: Vec<&str> = user.chain(values).filter(|secret| !secret.is_empty()).collect();
    secrets.push(uri);
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
}

/// Whether a connection string may be shown: it is well-formed, and has nothing secret.
#[cfg(feature = "cli")]
#[must_use]
pub(crate) fn is_public(uri: &str) -> bool {
    let lower = uri.to_ascii_lowercase();
    problem(uri).is_none()
        && parts(uri).is_some_and(|parts| parts.user.is_none())
        && !["password", "authmechanismproperties", "token"].iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones_have_no_problem() {
        for uri in [
            "mongodb://localhost",
            "mongodb://localhost/",
            "mongodb://a:27017,b.example:27018/?replicaSet=rs0",
            "mongodb://me:p%40ss@a/db?authSource=admin",
            "mongodb+srv://me:secret@cluster.example.net/?tls=true",
            "mongodb://[::1]:27017,[fe80::1]/",
            "mongodb://%2Ftmp%2Fmongodb.sock",
            "mongodb://me@a/?authMechanismProperties=SERVICE_HOST:a@b",
        ] {
            assert_eq!(problem(uri), None, "{uri}");
        }
    }

    #[test]
    fn slips_are_found() {
        for uri in [
            "http://a",
            "mongodb://",
            "mongodb://me:hunter2?a@127.0.0.1:1/",
            "mongodb://me:hun/ter2@a/",
            "mongodb://me:12/ter2@a/",
            "mongodb://me:p@ss@a/",
            "mongodb://me:p:ss@a/",
            "mongodb://me:100%@a/",
            "mongodb://me:hunter2",
            "mongodb://a:99999/",
            "mongodb://a,,b/",
            "mongodb://me:hun ter2@a/",
        ] {
            assert!(problem(uri).is_some(), "{uri}");
        }
    }

    #[test]
    fn options_of_other_drivers_are_left_out() {
        let (kept, ignored) = without_foreign(
            "mongodb://a/?replicaSet=r&connect=replicaSet&Compressors=snappy,zstd&uuidRepresentation=x&w=1",
        );
        assert_eq!(kept, "mongodb://a/?replicaSet=r&Compressors=zstd&w=1");
        assert_eq!(ignored, ["connect", "Compressors=snappy", "uuidRepresentation"]);
        assert_eq!(without_foreign("mongodb://a").0, "mongodb://a");
        assert_eq!(
            without_foreign("mongodb://a/?compressors=zlib&a@b=c"),
            ("mongodb://a/?".to_owned(), vec!["compressors=zlib".to_owned(), HIDDEN.to_owned()])
        );
    }

    #[test]
    fn what_is_secret_is_hidden() {
        let uri = "mongodb://me:hunter2@a/?proxyPassword=abc&appName=x";
        let text = without_secrets("bad hunter2 and abc of me for x", uri);
        assert!(!text.contains("hunter2") && !text.contains("abc") && text.ends_with("for x"), "{text}");
        assert!(!is_public(uri) && !is_public("mongodb://me:hunter2") && is_public("mongodb://a:1/?w=1"));
        assert_eq!(format!("{:?}", ConnectionString(uri.to_owned())), HIDDEN);
    }
}
