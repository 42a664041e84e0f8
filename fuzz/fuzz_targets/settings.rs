//! Any text as a settings file, and any text as a connection string: an error has no part of a password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statefold::Settings;
use statefold::config::FileSettings;

fuzz_target!(|text: &str| {
    let _ = toml::from_str::<FileSettings>(text);
    if !"hunter2".contains(text) && !text.contains("hunter2") {
        let uri = format!("mongodb://me:hunter2{text}");
        let said = match Settings::new(uri, "db") {
            Ok(settings) => format!("{settings:?}"),
            Err(error) => error.to_string(),
        };
        assert!(!said.contains("hunter2"), "{said}");
    }
});
