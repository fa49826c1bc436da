namespace ValueFlow.Benchmarks

open System
open System.Collections.Generic
open System.ComponentModel
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text.RegularExpressions

/// Hand-written C++ kernels as the practical limit of the machine: compiled and run by the command itself, beside what they are compared with.
[<RequireQualifiedAccess>]
module NativeLimit =

    let private run (program: string) (arguments: string list) : Result<string, string> =
        let start =
            ProcessStartInfo(program, arguments, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false)

        try
            match Process.Start start with
            | null -> Error $"{program} did not start"
            | started ->
                use started = started
                let errors = started.StandardError.ReadToEndAsync()
                let text = started.StandardOutput.ReadToEnd()
                started.WaitForExit()

                if started.ExitCode = 0 then
                    Ok text
                else
                    Error $"{program} ended with {started.ExitCode}: {(errors.Result.Trim().Split '\n')[0]}"
        with :? Win32Exception ->
            Error $"there is no {program}"

    /// Compiles c51_limit.cpp of the folder; the program, or why there is none.
    let compile (folder: string) : Result<string, string> =
        let source = Path.Combine(folder, "c51_limit.cpp")

        if not (File.Exists source) then
            Error "there is no c51_limit.cpp in the folder of the benchmarks' data"
        else
            let program = Path.Combine(Path.GetTempPath(), $"c51_limit-{Environment.ProcessId}")

            run "g++" [ "-O3"; "-march=native"; "-ffast-math"; "-fopenmp"; "-o"; program; source ]
            |> Result.map (fun _ -> program)

    /// Compiles kern.cpp of the folder as a library, by the source in TabularRuns; its path, or why there is none.
    let library (folder: string) : Result<string, string> =
        let reference = Path.Combine(Path.GetFullPath folder, "kern.cpp")
        let source = Path.Combine(AppContext.BaseDirectory, "yardstick.cpp")

        if not (File.Exists reference) then
            Error "there is no kern.cpp in the folder of the benchmarks' data"
        else
            let library = Path.Combine(Path.GetTempPath(), $"yardstick-{Environment.ProcessId}.so")

            run
                "g++"
                [
                    "-O3"
                    "-march=native"
                    "-fopenmp"
                    "-shared"
                    "-fPIC"
                    "-w"
                    $"-DREFERENCE=\"{reference}\""
                    "-o"
                    library
                    source
                ]
            |> Result.map (fun _ -> library)

    /// Microseconds of each of its lines, by the text before the colon: the least of many calls by the clock.
    let times (program: string) : Result<IReadOnlyDictionary<string, float>, string> =
        run program []
        |> Result.map (fun text ->
            let found = Dictionary<string, float>()

            for line in Regex.Matches(text, @"^(.+): ([0-9.]+) us", RegexOptions.Multiline) do
                found[line.Groups[1].Value] <- Double.Parse(line.Groups[2].Value, CultureInfo.InvariantCulture)

            found)
