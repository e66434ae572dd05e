<#
.SYNOPSIS
    Builds Backfence and runs `backfence up` with the project's data: a registry, servers
    and a front end on this machine, and a client in this window.
.DESCRIPTION
    Takes the options of `backfence up`; --help lists them.
    This script is exercised by the GitHub workflow only, on Windows.
.EXAMPLE
    scripts\start_all.ps1 --replicas 5
#>
$ErrorActionPreference = 'Stop'
$project = Split-Path -Parent $PSScriptRoot
$manifest = Join-Path $project 'Cargo.toml'

# Not to the output, which is the client's.
cargo build --release --locked --manifest-path $manifest -p backfence -p backfence-registry -p backfence-replica -p backfence-frontend | Out-Host
if ($LASTEXITCODE -ne 0) {
    throw 'The build failed.'
}
$metadata = cargo metadata --format-version 1 --no-deps --offline --locked --manifest-path $manifest | ConvertFrom-Json
$client = Join-Path $metadata.target_directory 'release\backfence.exe'
$data = Join-Path $project 'data'
if ($MyInvocation.ExpectingInput) {
    $input | & $client up --data $data @args
} else {
    & $client up --data $data @args
}
exit $LASTEXITCODE
