"""The command `weir`: thin doors to the rooms. Exit 0 good, 1 found something, 2 bad input."""

from __future__ import annotations

import os
import sys

import click

from proxy.cli.accounts import accounts
from proxy.cli.asking import doctor, explain
from proxy.cli.calibrating import calibrate
from proxy.cli.evaluate import evaluate
from proxy.cli.keys import keys
from proxy.cli.options import BAD
from proxy.cli.policies import check, schema, test_
from proxy.cli.population import population
from proxy.cli.replaying import replay
from proxy.cli.serving import serve, standin, worker
from proxy.cli.traffic import traffic
from proxy.cli.watching import watch
from proxy.core.errors import PolicyError, PopulationError, SettingsError, TrafficError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="weir")
def cli() -> None:
    """Weir: a gateway that stops model extraction.

    \b
    weir serve                       serve on 127.0.0.1:8080 with a local store and a stand-in model
    weir keys issue --account acme   make a developer's key
    weir accounts show acme          tell the level that an account is at, and why
    weir check                       read the policy files and tell every mistake
    weir explain wd_…                why a request was decided as it was
    weir explain --account acme      what an account was seen doing, and what came of it
    """  # noqa: D301 - \b is click's word for "keep these lines"


for command in (
    serve,
    keys,
    accounts,
    check,
    test_,
    schema,
    explain,
    doctor,
    standin,
    worker,
    traffic,
    population,
    evaluate,
    calibrate,
    replay,
    watch,
):
    cli.add_command(command)


def main() -> None:
    """Run the command; known errors are sentences on stderr and exit code 2."""
    try:
        code = cli(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except (SettingsError, PolicyError, PopulationError, TrafficError) as error:
        click.echo(str(error), err=True)
        sys.exit(BAD)
    except click.ClickException as error:
        error.show()
        sys.exit(BAD)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except OSError as error:
        # A port that is taken, a folder that may not be written: the system's own words say it.
        click.echo(f"weir: {error}", err=True)
        sys.exit(BAD)
