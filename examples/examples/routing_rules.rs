//! Writes the rule files as RoutingRules into the folder that it is given: `make generate` keeps
//! them in `examples/kubernetes`.

use std::path::Path;

use a8_examples::rules;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("which folder?")?;
    for (name, _) in rules::FILES {
        let file = Path::new(&folder).join(rules::object_file(name));
        std::fs::write(file, rules::as_objects(name)?)?;
    }
    Ok(())
}
