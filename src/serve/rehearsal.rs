//! `gw serve --check`: everything that starting does, short of serving.

use super::inherit::Inherited;
use super::program::{Origins, Program};
use super::sockets::{self, Vacancy};
use super::{Failure, Options, acme, generation, listen, open_files};
use std::sync::Arc;

/// Reads the program with its inputs, its keys, tables and certificates, and tries its addresses. Nothing is written,
/// no name is resolved and nobody is connected to. What is good to know, in sentences.
pub fn rehearse(options: &Options) -> Result<Vec<String>, Failure> {
    let limit = open_files::raise();
    let (_, plan) = Program::read(&options.root, options.inputs.as_deref(), options.look, &mut Origins::default())?;
    let (generation, problems) = generation(plan, None, &Arc::default(), options.workers)?;
    // A gateway that runs goes on without these; one that is to be started should have them.
    let mut failures: Failure = problems.into_iter().map(|problem| problem.message).collect();
    let mut inherited = Inherited::from_env();
    let mut said = Vec::new();
    for (name, address) in listen::addresses(&generation.plan) {
        if !inherited.take(name, address).is_empty() {
            said.push(format!("{address} (`{name}`): its socket was passed"));
            continue;
        }
        match sockets::try_bind(name, address) {
            Ok(Vacancy::Free) => said.push(format!("{address} (`{name}`): can be bound")),
            Ok(Vacancy::Shared) => {
                said.push(format!(
                    "{address} (`{name}`): a process of this user has it and shares it, as a running gateway does"
                ));
            }
            Err(error) => failures.push(error),
        }
    }
    match acme::rehearse(&generation.plan) {
        Ok(kept) => said.extend(kept),
        Err(why) => failures.extend(why),
    }
    failures.append(&mut inherited.problems);
    if !failures.is_empty() {
        return Err(failures);
    }
    said.extend(open_files::too_few(&generation.plan, limit, options.workers));
    said.push(format!("`{}` can be served: {} routes", options.root.display(), generation.plan.routes.len()));
    Ok(said)
}
