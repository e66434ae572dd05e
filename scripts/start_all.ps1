<#
.SYNOPSIS
    Builds Backfence, starts a registry, replicas and a front end on this machine,
    and opens a client in this window. What it started ends with it.
.DESCRIPTION
    Each server gets a minimised window of its own, so that Ctrl-C in this one does
    not reach it. Logs go to the folder that -State names, and what the servers keep.
    Ctrl-C while the client runs ends the client and this script.
    This script is exercised by the GitHub workflow only, on Windows.
.PARAMETER Data
    The folder with movies.csv and ratings.csv; by default the project's data.
.PARAMETER Replicas
    How many servers.
.PARAMETER OverloadProbability
    How often a server says that it is over-loaded, from 0 to 1.
.PARAMETER Port
    The registry's port; the front end takes the next one.
.PARAMETER State
    Where logs go, and what the servers keep: started again with the same folder,
    they go on from it. By default a fresh folder, which is named. Its cluster.key
    protects session tokens: a secret, which is made where there is none.
.PARAMETER NoClient
    Run without a client until interrupted.
.EXAMPLE
    scripts\start_all.ps1 -Replicas 5
#>
param(
    [string]$Data,
    [ValidateRange(1, 999)][int]$Replicas = 3,
    [ValidateRange(0.0, 1.0)][double]$OverloadProbability = 0.2,
    [ValidateRange(1, 65534)][int]$Port = 7400,
    [string]$State,
    [switch]$NoClient
)
# Not [CmdletBinding()]: that would refuse input from a pipe, which is the client's.
$ErrorActionPreference = 'Stop'
if ($args.Count -gt 0) {
    throw "There is no option $($args[0]); see Get-Help $PSCommandPath."
}

$project = Split-Path -Parent $PSScriptRoot
if (-not $Data) {
    $Data = Join-Path $project 'data'
}
foreach ($file in 'movies.csv', 'ratings.csv') {
    if (-not (Test-Path (Join-Path $Data $file))) {
        throw "There is no $file in $Data; -Data names a folder that has it."
    }
}
$Data = (Resolve-Path $Data).Path

if (-not $State) {
    $State = Join-Path ([System.IO.Path]::GetTempPath()) ('backfence.' + [guid]::NewGuid())
}
New-Item -ItemType Directory -Force -Path $State | Out-Null
$State = (Resolve-Path $State).Path
Write-Host "Logs are in $State"

# What front ends seal session tokens with. Only this user, and who administers the
# machine, may read it.
$key = Join-Path $State 'cluster.key'
if (-not (Test-Path $key)) {
    $bytes = New-Object byte[] 32
    $random = [System.Security.Cryptography.RandomNumberGenerator]::Create()
    $random.GetBytes($bytes)
    $random.Dispose()
    New-Item -ItemType File -Path "$key.new" -Force | Out-Null
    icacls "$key.new" /inheritance:r /grant:r "$([System.Security.Principal.WindowsIdentity]::GetCurrent().Name):F" | Out-Null
    if ($LASTEXITCODE -ne 0) {
        throw "Cannot make a key in $State."
    }
    [System.IO.File]::WriteAllBytes("$key.new", $bytes)
    Move-Item "$key.new" $key
}

function Assert-PortIsFree([int]$number) {
    $listener = New-Object System.Net.Sockets.TcpListener ([System.Net.IPAddress]::Loopback), $number
    try {
        $listener.Start()
    } catch {
        throw "Port $number is in use; choose another with -Port (it and the next one are needed)."
    } finally {
        $listener.Stop()
    }
}

Assert-PortIsFree $Port
Assert-PortIsFree ($Port + 1)

Push-Location $project
try {
    cargo build --release --locked -p backfence -p backfence-registry -p backfence-replica -p backfence-frontend
    if ($LASTEXITCODE -ne 0) {
        throw 'The build failed.'
    }
    $metadata = cargo metadata --format-version 1 --no-deps --offline --locked | ConvertFrom-Json
} finally {
    Pop-Location
}
$programs = Join-Path $metadata.target_directory 'release'
$registry = "http://127.0.0.1:$Port"
$started = New-Object System.Collections.ArrayList

# Start-Process puts a blank between the arguments and quotes nothing.
function Start-Server([string]$name, [string]$program, [string[]]$arguments) {
    $process = Start-Process -PassThru -WindowStyle Minimized `
        -FilePath (Join-Path $programs "$program.exe") `
        -ArgumentList ($arguments | ForEach-Object { "`"$_`"" }) `
        -RedirectStandardOutput (Join-Path $State "$name.out.log") `
        -RedirectStandardError (Join-Path $State "$name.err.log")
    [void]$started.Add($process)
    return $process
}

function Wait-Ready([string]$name, [string]$line, $process) {
    $deadline = (Get-Date).AddSeconds(30)
    while ($true) {
        # Looked at before the log, so that the last words of a process are read.
        $ended = $process.HasExited
        $said = Get-Content (Join-Path $State "$name.out.log") -ErrorAction SilentlyContinue
        if ($said | Where-Object { $_.StartsWith($line) }) {
            return
        }
        if ($ended -or (Get-Date) -gt $deadline) {
            Get-Content (Join-Path $State "$name.err.log") -Tail 20 | Write-Host
            throw "$name did not become ready; the end of its log is above."
        }
        Start-Sleep -Milliseconds 20
    }
}

try {
    $process = Start-Server 'registry' 'backfence-registry' @('--listen', "127.0.0.1:$Port")
    Wait-Ready 'registry' 'REGISTRY READY' $process

    $probability = $OverloadProbability.ToString([System.Globalization.CultureInfo]::InvariantCulture)
    $servers = @{}
    foreach ($number in 1..$Replicas) {
        $servers[$number] = Start-Server "server$number" 'backfence-replica' @(
            '--server', "$number", '--registry', $registry, '--listen', '127.0.0.1:0',
            '--movies', (Join-Path $Data 'movies.csv'), '--ratings', (Join-Path $Data 'ratings.csv'),
            '--overload-probability', $probability, '--data-dir', (Join-Path $State "server$number")
        )
    }
    $frontEnd = Start-Server 'frontend' 'backfence-frontend' @(
        '--registry', $registry, '--listen', "127.0.0.1:$($Port + 1)",
        '--cluster-key', $key
    )
    foreach ($number in 1..$Replicas) {
        Wait-Ready "server$number" 'SERVER READY' $servers[$number]
    }
    Wait-Ready 'frontend' 'CLIENT CAN NOW CONNECT' $frontEnd

    $client = Join-Path $programs 'backfence.exe'
    Write-Host "$Replicas servers and a front end are ready. For another client, in another window:"
    Write-Host "    $client --registry $registry"
    Write-Output 'CLIENT CAN NOW CONNECT'

    if ($NoClient) {
        Write-Host 'Ctrl-C stops everything.'
        $started | Wait-Process
        throw "All servers have ended by themselves; see the logs in $State."
    }
    if ($MyInvocation.ExpectingInput) {
        $input | & $client --registry $registry
    } else {
        & $client --registry $registry
    }
    $code = $LASTEXITCODE
} finally {
    $started.Reverse()
    foreach ($process in $started) {
        if (-not $process.HasExited) {
            Stop-Process -Id $process.Id -Force
        }
    }
}
exit $code
