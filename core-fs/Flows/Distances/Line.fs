namespace ValueFlow.Core.Flows

open System
open ValueFlow.Core.Foundations

/// Distances between samples of numbers, exact by sorting, weights included.
[<RequireQualifiedAccess>]
module Line =

    let private sorted (numbers: float[]) (weights: float[]) =
        let numbers, weights = Array.copy numbers, Array.copy weights
        Array.Sort(numbers, weights)
        numbers, weights

    // integral over levels of |F^-1 - G^-1|^p: both quantile functions are walked from step to step.
    let internal power (p: float) (a: float[]) (wa: float[]) (b: float[]) (wb: float[]) : float =
        let a, wa = sorted a wa
        let b, wb = sorted b wb
        let mutable i = 0
        let mutable j = 0
        let mutable sum = 0.0

        if
            a.Length = b.Length
            && Array.forall2 (fun (x: float) y -> x = y) wa wb
            && wa |> Array.forall (fun w -> w = wa[0])
        then
            for k in 0 .. a.Length - 1 do
                sum <- sum + Math.Pow(abs (a[k] - b[k]), p)

            sum / float a.Length
        else
            let mutable leftA = wa[0]
            let mutable leftB = wb[0]

            while i < a.Length && j < b.Length do
                let mass = Math.Min(leftA, leftB)
                sum <- sum + mass * Math.Pow(abs (a[i] - b[j]), p)
                leftA <- leftA - mass
                leftB <- leftB - mass

                if leftA <= leftB then
                    i <- i + 1
                    leftA <- if i < a.Length then wa[i] else 0.0
                else
                    j <- j + 1
                    leftB <- if j < b.Length then wb[j] else 0.0

            sum

    let private requireLine (name: string) (sample: Sample) =
        if sample.Dimension <> 1 then
            invalidArg name $"points must have 1 coordinate but have {sample.Dimension}"

    /// W_p = (integral of |F^-1(q) - G^-1(q)|^p dq)^(1/p) of two samples of numbers. Villani 2003, "Topics in optimal transportation", 2.2. Throws an
    /// ArgumentException unless p is finite and at least 1.
    let wasserstein (p: float) (first: Sample) (second: Sample) : float =
        if not (p >= 1.0 && Double.IsFinite p) then
            invalidArg (nameof p) $"the order must be finite and at least 1 but is {p}"

        requireLine (nameof first) first
        requireLine (nameof second) second
        Math.Pow(power p first.Axes[0] first.Masses second.Axes[0] second.Masses, 1.0 / p)

    /// sup over x of |F(x) - G(x)|. Kolmogorov 1933.
    let kolmogorov (first: Sample) (second: Sample) : float =
        requireLine (nameof first) first
        requireLine (nameof second) second
        let a, wa = sorted first.Axes[0] first.Masses
        let b, wb = sorted second.Axes[0] second.Masses
        let mutable i = 0
        let mutable j = 0
        let mutable below = 0.0
        let mutable largest = 0.0

        while i < a.Length || j < b.Length do
            let x =
                if i >= a.Length then b[j]
                elif j >= b.Length then a[i]
                else Math.Min(a[i], b[j])

            while i < a.Length && a[i] = x do
                below <- below + wa[i]
                i <- i + 1

            while j < b.Length && b[j] = x do
                below <- below - wb[j]
                j <- j + 1

            largest <- Math.Max(largest, abs below)

        Math.Min(1.0, largest)

    /// The p-th root of the mean of W_p^p over random directions, uniform on the sphere. At most W_p.
    /// Bonneel, Rabin, Peyre and Pfister 2015, "Sliced and Radon Wasserstein barycenters of measures".
    let sliced (generator: Generator) (directions: int) (p: float) (first: Sample) (second: Sample) : float =
        Sample.RequireSame(nameof second, first, second)

        if directions < 1 then
            invalidArg (nameof directions) $"there must be at least one direction but there are {directions}"

        if not (p >= 1.0 && Double.IsFinite p) then
            invalidArg (nameof p) $"the order must be finite and at least 1 but is {p}"

        let mutable sum = 0.0

        for _ in 1..directions do
            let raw = Array.init first.Dimension (fun _ -> Sampling.normal generator)
            let length = sqrt (Array.sumBy (fun x -> x * x) raw)

            let direction =
                if length > 0.0 then
                    raw |> Array.map (fun x -> x / length)
                else
                    Array.init raw.Length (fun k -> if k = 0 then 1.0 else 0.0)

            let project (sample: Sample) =
                Array.init sample.Count (fun i ->
                    let mutable dot = 0.0

                    for k in 0 .. direction.Length - 1 do
                        dot <- dot + direction[k] * sample.Axes[k].[i]

                    dot)

            sum <- sum + power p (project first) first.Masses (project second) second.Masses

        Math.Pow(sum / float directions, 1.0 / p)
