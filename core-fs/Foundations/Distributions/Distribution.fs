namespace ValueFlow.Core.Foundations

open System

/// A law on the line with finitely many outcomes: atoms in increasing order, all different, each with a positive mass; the masses sum to one. Made by
/// the module of the same name; it never changes.
[<Sealed>]
type Distribution internal (atoms: float[], masses: float[]) =

    // Mass at or below each atom; the last one is one whatever rounding says.
    let cumulative =
        lazy
            (let sums = Array.zeroCreate masses.Length
             let mutable sum = 0.0

             for i in 0 .. masses.Length - 1 do
                 sum <- sum + masses[i]
                 sums[i] <- if i = masses.Length - 1 then 1.0 else Math.Min(1.0, sum)

             sums)

    let mean =
        lazy
            (let mutable sum = 0.0

             for i in 0 .. atoms.Length - 1 do
                 sum <- sum + masses[i] * atoms[i]

             sum)

    /// The atoms. Not to be changed.
    member internal _.Places: float[] = atoms
    /// Their masses. Not to be changed.
    member internal _.Weights: float[] = masses
    /// Mass at or below each atom. Not to be changed.
    member internal _.Cumulative: float[] = cumulative.Value
    /// The number of atoms.
    member _.Count = atoms.Length
    /// The atoms, in increasing order.
    member _.Atoms: ReadOnlySpan<float> = ReadOnlySpan atoms
    /// For each atom its mass.
    member _.Masses: ReadOnlySpan<float> = ReadOnlySpan masses
    /// The least atom.
    member _.Minimum = atoms[0]
    /// The largest atom.
    member _.Maximum = atoms[atoms.Length - 1]
    /// E X.
    member _.Mean: float = mean.Value

    /// E f(X).
    member _.Expect(f: float -> float) : float =
        let mutable sum = 0.0

        for i in 0 .. atoms.Length - 1 do
            sum <- sum + masses[i] * f atoms[i]

        sum

    /// E (X - E X)^2.
    member this.Variance: float = this.Expect(fun x -> (x - mean.Value) * (x - mean.Value))

    /// E (X - E X)^n.
    member this.CentralMoment(order: int) : float = this.Expect(fun x -> Math.Pow(x - mean.Value, float order))

    /// F(x) = P(X &lt;= x).
    member _.Cdf(x: float) : float =
        let place = Array.BinarySearch(atoms, x)
        let last = if place >= 0 then place else ~~~place - 1
        if last < 0 then 0.0 else cumulative.Value[last]

    /// F^-1(q) = the least x with F(x) &gt;= q, for q in [0, 1]; the least atom for q = 0.
    member _.Quantile(level: float) : float =
        if not (level >= 0.0 && level <= 1.0) then
            invalidArg (nameof level) $"level must lie in [0, 1] but is {level}"

        let place = Array.BinarySearch(cumulative.Value, level)
        let mutable first = if place >= 0 then place else ~~~place

        // Masses below rounding leave equal sums behind.
        while first > 0 && cumulative.Value[first - 1] >= level do
            first <- first - 1

        atoms[first]

    /// An outcome, drawn.
    member this.Sample(generator: Generator) : float = this.Quantile(1.0 - generator.Uniform())

    /// The number of atoms, and the law itself if it has few.
    override _.ToString() =
        let number (x: float) = x.ToString("R", Globalization.CultureInfo.InvariantCulture)

        if atoms.Length <= 12 then
            Array.map2 (fun x p -> $"{number x}: {number p}") atoms masses |> String.concat ", "
        else
            $"{atoms.Length} atoms in [{number atoms[0]}, {number atoms[atoms.Length - 1]}], mean {number mean.Value}"

/// Makes distributions, and new ones of them. Arguments are checked; what is wrong is an ArgumentException.
[<RequireQualifiedAccess>]
module Distribution =

    // Sorted, equal atoms joined, atoms without mass left out. Takes the arrays over.
    let internal gathered (atoms: float[]) (masses: float[]) : Distribution =
        Array.Sort(atoms, masses)
        let mutable count = 0

        for i in 0 .. atoms.Length - 1 do
            if masses[i] > 0.0 then
                // -0.0 is 0.0: one of them is enough.
                let atom = atoms[i] + 0.0

                if count > 0 && atoms[count - 1] = atom then
                    masses[count - 1] <- masses[count - 1] + masses[i]
                else
                    atoms[count] <- atom
                    masses[count] <- masses[i]
                    count <- count + 1

        if count = atoms.Length then
            Distribution(atoms, masses)
        else
            Distribution(Array.sub atoms 0 count, Array.sub masses 0 count)

    let private requireFinite (name: string) (numbers: float[]) =
        match numbers |> Array.tryFindIndex (Double.IsFinite >> not) with
        | Some i -> invalidArg name $"entry {i} must be finite but is {numbers[i]}"
        | None -> ()

    /// The law with the atoms and their masses, which are not negative and sum to one within 1e-9; they are divided by their sum.
    let ofAtoms (atoms: float[]) (masses: float[]) : Distribution =
        if atoms.Length = 0 then
            invalidArg (nameof atoms) "a law must have at least one atom but has none"

        Shape.requireLength (nameof masses) atoms.Length masses.Length
        requireFinite (nameof atoms) atoms
        requireFinite (nameof masses) masses

        match masses |> Array.tryFindIndex (fun mass -> mass < 0.0) with
        | Some i -> invalidArg (nameof masses) $"mass {i} must not be negative but is {masses[i]}"
        | None -> ()

        let total = Array.sum masses

        if not (abs (total - 1.0) <= 1e-9) then
            invalidArg (nameof masses) $"masses must sum to 1 within 1e-9 but sum to {total}"

        gathered (Array.copy atoms) (masses |> Array.map (fun mass -> mass / total))

    /// The law of a number drawn from an array.
    let ofNumbers (numbers: float[]) : Distribution =
        if numbers.Length = 0 then
            invalidArg (nameof numbers) "there must be at least one number but there is none"

        requireFinite (nameof numbers) numbers
        gathered (Array.copy numbers) (Array.create numbers.Length (1.0 / float numbers.Length))

    /// The law of a sample of numbers, weights included.
    let ofSample (sample: Sample) : Distribution =
        if sample.Dimension <> 1 then
            invalidArg (nameof sample) $"points must have 1 coordinate but have {sample.Dimension}"

        gathered (Array.copy sample.Axes[0]) (Array.copy sample.Masses)

    /// The law of the inner product with a direction, of a point drawn from a sample.
    let along (direction: float[]) (sample: Sample) : Distribution =
        Shape.requireLength (nameof direction) sample.Dimension direction.Length

        let dots =
            Array.init sample.Count (fun i ->
                let mutable dot = 0.0

                for k in 0 .. direction.Length - 1 do
                    dot <- dot + direction[k] * sample.Axes[k].[i]

                dot)

        gathered dots (Array.copy sample.Masses)

    /// The law of the number itself.
    let point (x: float) : Distribution =
        if not (Double.IsFinite x) then
            invalidArg (nameof x) $"an atom must be finite but is {x}"

        Distribution([| x + 0.0 |], [| 1.0 |])

    /// The law of f(X).
    let map (f: float -> float) (law: Distribution) : Distribution =
        let atoms = law.Places |> Array.map f
        requireFinite (nameof f) atoms
        gathered atoms (Array.copy law.Weights)

    /// The law of shift + scale X: what a reward and a discount make of a return.
    let affine (shift: float) (scale: float) (law: Distribution) : Distribution = map (fun x -> shift + scale * x) law

    /// The law that is one of the parts with its probability; probabilities are not negative and sum to one within 1e-9.
    let mixture (parts: seq<struct (float * Distribution)>) : Distribution =
        let parts = Array.ofSeq parts
        let total = parts |> Array.sumBy (fun (struct (weight, _)) -> weight)

        for struct (weight, _) in parts do
            if not (weight >= 0.0) then
                invalidArg (nameof parts) $"probabilities must not be negative but one is {weight}"

        if not (abs (total - 1.0) <= 1e-9) then
            invalidArg (nameof parts) $"probabilities must sum to 1 within 1e-9 but sum to {total}"

        gathered
            (parts |> Array.collect (fun (struct (_, law)) -> law.Places))
            (parts
             |> Array.collect (fun (struct (weight, law)) -> law.Weights |> Array.map (fun mass -> weight / total * mass)))

    /// The law of X + Y for independent X and Y.
    let sum (first: Distribution) (second: Distribution) : Distribution =
        gathered
            (first.Places |> Array.collect (fun x -> second.Places |> Array.map (fun y -> x + y)))
            (first.Weights |> Array.collect (fun p -> second.Weights |> Array.map (fun q -> p * q)))

    /// Neighbouring atoms that lie within the distance of the first of them are joined there: no outcome moves further, so W_infinity to the law is at most the distance.
    let joined (distance: float) (law: Distribution) : Distribution =
        if not (distance >= 0.0) then
            invalidArg (nameof distance) $"the distance must not be negative but is {distance}"

        let atoms = Array.copy law.Places

        for i in 1 .. atoms.Length - 1 do
            if atoms[i] - atoms[i - 1] <= distance && law.Places[i] - atoms[i - 1] <= distance then
                atoms[i] <- atoms[i - 1]

        gathered atoms (Array.copy law.Weights)
