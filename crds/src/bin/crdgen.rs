//! Prints the definitions of the three kinds as YAML, or writes them into a directory, one file a kind.

use std::path::Path;
use std::process::ExitCode;

fn write(directory: Option<&Path>) -> Result<(), String> {
    for definition in
        pointsman_crds::crd::definitions().map_err(|error| format!("build the kinds: {error}"))?
    {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let yaml = serde_saphyr::to_string(&definition).map_err(|error| format!("print {name}: {error}"))?;
        match directory {
            None => println!("---\n{yaml}"),
            Some(directory) => {
                let path = directory.join(format!("{name}.yaml"));
                std::fs::write(&path, yaml).map_err(|error| format!("write {}: {error}", path.display()))?;
            }
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1);
    match write(directory.as_deref().map(Path::new)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}
