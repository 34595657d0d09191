//! `compare`: the scenarios of `tests/scenarios`, on Envoy and on the adapted component, and the command itself.

mod command;
mod differences;
mod hosts;
mod mistakes;
mod next;
mod scenarios;

use anyhow::Result;
use libtest_mimic::Arguments;
use proxy_wasm_adapter_tests::trial::trial;

type Run = fn() -> Result<()>;

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let mut trials = scenarios::trials()?;
    let commands: [(&str, Run); 28] = [
        ("an example is the same", command::an_example_is_the_same),
        ("one other status of the shim is told with its call", command::one_other_status_is_told),
        ("what was expected and did not come is told", command::unmet_expectations_are_told),
        ("what only Envoy refuses differs, in its own words", command::refused_by_envoy),
        ("callout clusters are asked, and what they get is shown", command::clusters_are_asked),
        ("a filter that hangs is given up", command::a_filter_that_hangs),
        ("a filter that writes without end is ended", command::a_filter_that_writes_without_end),
        ("a filter that hangs as it starts is given up", command::a_filter_that_hangs_as_it_starts),
        ("what both refuse is no success", command::refused_by_both),
        ("what is known is left out of the verdict", command::known_differences_are_left_out),
        ("the commands of a report run", command::commands_of_reports_run),
        ("servers of its own are told", command::servers_of_its_own_are_told),
        ("no process is left when it is told to end", command::nothing_is_left),
        ("a new instance for each request is the same", hosts::a_new_instance_for_each_request),
        ("an endpoint is asked", hosts::an_endpoint),
        ("a host that ends or is none is told", hosts::hosts_that_end),
        ("a host that never listens is given up", hosts::a_host_that_never_listens),
        ("a port that is taken is told", hosts::a_port_that_is_taken),
        ("mistakes in commands of hosts are told", hosts::mistakes_in_commands),
        ("a service behind filters answers on both sides", next::a_service_behind),
        ("a service behind filters answers in a test", next::a_service_behind_alone),
        ("what is composed is compared as its parts", next::what_is_composed),
        ("a start that is refused on WASI 0.3 is told before any request", next::a_start_that_is_refused),
        ("what can't be linked behind filters is told", next::what_can_not_be_linked),
        ("a missing Envoy is told with the way to get it", mistakes::no_envoy),
        ("a program that is no Envoy is told", mistakes::not_envoy),
        ("mistakes in request files are told where they stand", mistakes::in_request_files),
        ("wrong files are told", mistakes::wrong_files),
    ];
    trials.extend(commands.map(|(name, run)| trial(name, run)));
    libtest_mimic::run(&arguments, trials).exit()
}
