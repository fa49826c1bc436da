namespace ValueFlow.Core.Returns

open System

/// Evenly spaced atoms z(i) = least + i gap, i = 0 .. count - 1, that all laws of a categorical table share.
[<Sealed>]
type Support(least: float, largest: float, count: int) =

    do
        if not (Double.IsFinite least) then
            invalidArg (nameof least) $"least must be finite but is {least}"

        if not (Double.IsFinite largest && largest > least) then
            invalidArg (nameof largest) $"largest must be finite and exceed the least atom {least} but is {largest}"

        if count < 2 then
            invalidArg (nameof count) $"count must be at least 2 atoms but is {count}"

        if not (Double.IsFinite(largest - least)) then
            invalidArg (nameof largest) $"largest - least must be finite but is {largest - least}"

    let gap = (largest - least) / float (count - 1)

    /// The least atom.
    member _.Least = least
    /// The largest atom.
    member _.Largest = largest
    /// The number of atoms.
    member _.Count = count
    /// The distance between neighbouring atoms.
    member _.Gap = gap
    /// largest - least.
    member _.Range = largest - least

    /// z(i).
    member _.Atom(index: int) : float =
        if index < 0 || index >= count then
            invalidArg (nameof index) $"index must lie in [0, {count}) but is {index}"

        if index = count - 1 then largest else least + float index * gap

    /// All atoms, in increasing order.
    member this.Atoms: float[] = Array.init count this.Atom

    /// The same least atom, largest atom and count: then tables can be compared.
    member _.Equals(other: Support) : bool = other.Least = least && other.Largest = largest && other.Count = count

    /// The same least atom, largest atom and count.
    override this.Equals(other: obj) =
        match other with
        | :? Support as support -> this.Equals support
        | _ -> false

    /// Equal for equal supports.
    override _.GetHashCode() = HashCode.Combine(least, largest, count)

    /// 51 atoms in [-10, 10].
    override _.ToString() =
        let number (x: float) = x.ToString("R", Globalization.CultureInfo.InvariantCulture)
        $"{count} atoms in [{number least}, {number largest}]"
