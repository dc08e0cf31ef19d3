"""``retrain completion``: the script that makes the shell complete commands, models, toggles and retrains."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  eval "$(retrain completion bash)"                 in ~/.bashrc
    zsh:   eval "$(retrain completion zsh)"                  in ~/.zshrc
    fish:  retrain completion fish > ~/.config/fish/completions/retrain.fish
    """
    complete = get_completion_class(shell)
    assert complete is not None  # the choice above names only shells click knows
    click.echo(complete(ctx.find_root().command, {}, "retrain", "_RETRAIN_COMPLETE").source())
