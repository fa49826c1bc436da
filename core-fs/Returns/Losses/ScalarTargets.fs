namespace ValueFlow.Core.Returns

open System
open MathNet.Numerics

/// Numbers as laws on a support, a batch at once: targets for a cross-entropy in place of a squared error.
[<RequireQualifiedAccess>]
module ScalarTargets =

    let private requireRows (support: Support) (values: ReadOnlySpan<float32>) (masses: Span<float32>) =
        if values.Length = 0 then
            invalidArg (nameof values) "there must be at least one value but there is none"

        RowCheck.finite (nameof values) 1 values
        RowCheck.length (nameof masses) (values.Length * support.Count) masses.Length

    // The row with mass on the two atoms around a number: its mean is the number, clipped to the support.
    let private twoHotRow (support: Support) (value: float) (row: Span<float32>) =
        let place = Math.Clamp((value - support.Least) / support.Gap, 0.0, float (support.Count - 1))
        let cell = min (support.Count - 2) (int place)
        let upper = place - float cell
        row.Clear()
        row[cell] <- float32 (1.0 - upper)
        row[cell + 1] <- float32 upper

    /// Writes for each value the masses on the two atoms around it whose mean is the value; all mass on an end for a value beyond it.
    /// Schrittwieser et al. 2020, "Mastering Atari, Go, chess and shogi by planning with a learned model".
    let twoHot (support: Support) (values: ReadOnlySpan<float32>) (masses: Span<float32>) : unit =
        requireRows support values masses

        for b in 0 .. values.Length - 1 do
            twoHotRow support (float values[b]) (masses.Slice(b * support.Count, support.Count))

    // P(Z > x) and P(Z <= x) for a standard normal Z, by whichever is small.
    let private tail (x: float) = 0.5 * SpecialFunctions.Erfc(x * sqrt 0.5)

    let private between (a: float) (b: float) = if a > 0.0 then tail a - tail b else tail -b - tail -a

    let private hlGaussRow (support: Support) (deviation: float) (value: float) (row: Span<float32>) =
        let edge i = (support.Least + (float i - 0.5) * support.Gap - value) / deviation
        let whole = between (edge 0) (edge support.Count)

        if whole > 1e-290 then
            let mutable below = edge 0

            for i in 0 .. support.Count - 1 do
                let above = edge (i + 1)
                row[i] <- float32 (between below above / whole)
                below <- above
        else
            twoHotRow support value row

    /// HL-Gauss: writes for each value y the masses of N(y, deviation^2), given that it lies in [least - gap/2, largest + gap/2], in the bins of width gap around the atoms.
    /// A row's mass is one; as the deviation tends to zero the row tends to the bin that holds y. Where the normal law puts no mass on the bins that can be told from zero, all
    /// mass lies on the nearest end. A deviation of 0.75 gaps is the usual choice. Imani and White 2018, "Improving regression performance with distributional losses"; Farebrother et al. 2024,
    /// "Stop regressing: training value functions via classification for scalable deep RL".
    let hlGauss (support: Support) (deviation: float) (values: ReadOnlySpan<float32>) (masses: Span<float32>) : unit =
        if not (deviation > 0.0 && Double.IsFinite deviation) then
            invalidArg (nameof deviation) $"deviation must be positive and finite but is {deviation}"

        requireRows support values masses

        for b in 0 .. values.Length - 1 do
            hlGaussRow support deviation (float values[b]) (masses.Slice(b * support.Count, support.Count))
