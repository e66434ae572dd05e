# Fetches a MovieLens data set from GroupLens, checks it, and says what its licence asks.
#
#   scripts\fetch_movielens.ps1 [-Name ml-latest-small] [-Folder data\NAME]
#
# BACKFENCE_MOVIELENS_URL names another place to fetch from, such as a mirror.
# Written for PowerShell 5.1 and later; the shell script of the same name does the same.
[CmdletBinding()]
param(
    [ValidateSet('ml-latest-small', 'ml-latest', 'ml-25m', 'ml-32m')]
    [string]$Name = 'ml-latest-small',
    [string]$Folder
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
# The progress display makes downloads many times slower in PowerShell 5.1.
$ProgressPreference = 'SilentlyContinue'

function Stop-With([int]$Code, [string]$Message) {
    [Console]::Error.WriteLine("fetch_movielens: $Message")
    exit $Code
}

function Test-Header([string]$Path, [string]$Expected) {
    if (-not (Test-Path -LiteralPath $Path -PathType Leaf)) {
        throw "the archive holds no $Path"
    }
    $header = Get-Content -LiteralPath $Path -TotalCount 1
    if ($header -ne $Expected) {
        throw "$Path begins with '$header' instead of '$Expected'"
    }
}

$base = $env:BACKFENCE_MOVIELENS_URL
if (-not $base) { $base = 'https://files.grouplens.org/datasets/movielens' }
if (-not $Folder) {
    $data = Join-Path (Split-Path -Parent $PSScriptRoot) 'data'
    $Folder = Join-Path $data $Name
}
$Folder = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Folder)
if (Test-Path -LiteralPath $Folder) {
    Stop-With 2 "$Folder exists already; remove it, or name another folder"
}

# Everything happens in a folder beside the wanted one, which is renamed only when all
# is well: a failure leaves nothing behind.
$work = "$Folder." + [Guid]::NewGuid().ToString('N')
$problem = $null
$code = 1
try {
    New-Item -ItemType Directory -Path $work -Force | Out-Null
    $zip = Join-Path $work "$Name.zip"

    $code = 5
    # PowerShell 5.1 offers only old versions of TLS unless told otherwise.
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    foreach ($file in "$Name.zip.md5", "$Name.zip") {
        [Console]::Error.WriteLine("fetching $base/$file")
        $target = Join-Path $work $file
        Invoke-WebRequest -UseBasicParsing -Uri "$base/$file" -OutFile $target
    }
    $code = 1

    $text = Get-Content -LiteralPath "$zip.md5" -Raw
    $found = [regex]::Match($text, '\b[0-9a-fA-F]{32}\b')
    if (-not $found.Success) { throw "$Name.zip.md5 holds no MD5 sum" }
    $actual = (Get-FileHash -LiteralPath $zip -Algorithm MD5).Hash
    if ($actual -ne $found.Value) {
        throw "$Name.zip is damaged: its MD5 is $actual, the site says $($found.Value); try again"
    }

    $out = Join-Path $work 'out'
    Expand-Archive -LiteralPath $zip -DestinationPath $out
    $set = Join-Path $out $Name
    Test-Header (Join-Path $set 'movies.csv') 'movieId,title,genres'
    Test-Header (Join-Path $set 'ratings.csv') 'userId,movieId,rating,timestamp'
    Move-Item -LiteralPath $set -Destination $Folder
} catch {
    $problem = $_.Exception.Message
} finally {
    if (Test-Path -LiteralPath $work) { Remove-Item -LiteralPath $work -Recurse -Force }
}
if ($null -ne $problem) { Stop-With $code $problem }

[Console]::Error.WriteLine(@"

The licence of $Name, in short; all of it stands in $Folder\README.txt:
  - Say or imply nowhere that the University of Minnesota or GroupLens endorses you.
  - Acknowledge the data set in publications, citing: F. Maxwell Harper and Joseph A.
    Konstan. 2015. The MovieLens Datasets: History and Context. ACM Transactions on
    Interactive Intelligent Systems 5, 4: 19:1-19:19. https://doi.org/10.1145/2827872
  - Make no commercial or revenue-bearing use of it without permission of GroupLens.
  - Redistribution: for ml-latest-small only under the same conditions; other sets may
    ask for a separate permission. Read the README of the set.
  - There is no warranty of any kind.

"@)
Write-Output $Folder
