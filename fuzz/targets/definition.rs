//! A definition of a custom kind, an object and an older form of it: structural schemas, their rules, pruning, defaults.

#![no_main]

use coracle_api::crd::{self, CustomVersion, definition, publish};
use coracle_fuzz::{documents, with_metadata};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some([definition, new, old]) = documents(data) else {
        return;
    };
    let (Some(mut definition), Some(mut new), Some(mut old)) = (
        with_metadata(definition),
        with_metadata(new),
        with_metadata(old),
    ) else {
        return;
    };
    definition::set_defaults(&mut definition);
    definition::prepare_create(&mut definition);
    if !crd::validate_create(&definition).is_empty() {
        return;
    }
    let Some(name) = definition::storage_version(&definition).map(str::to_owned) else {
        return;
    };
    let version = CustomVersion::compile(&definition, &name);
    // What is valid compiles.
    let version = version.expect("a valid definition compiles");
    if version.decode(&mut new).is_err() || version.decode(&mut old).is_err() {
        return;
    }
    let mut again = new.clone();
    assert_eq!(
        version.decode(&mut again).map(|dropped| dropped.len()),
        Ok(0)
    );
    assert_eq!(again, new);
    let _causes = (
        version.validate_create(&new),
        version.validate_update(&new, &old),
        version.validate_status_update(&new, &old),
    );
    let _cells = version.columns.cells(&new, jiff::Timestamp::UNIX_EPOCH);
    let _schemas = publish::schemas(&definition, &name, ("a", "b"));
});
