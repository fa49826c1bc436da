using ValueFlow.Core.Returns;

namespace ValueFlow;

/// <summary>Evenly spaced atoms that categorical return laws share: count of them from the least to the largest, both included.</summary>
public sealed class ReturnSupport
{
    /// <summary>A support, such as 51 atoms from -10 to 10.</summary>
    /// <param name="least">The least atom (v_min), finite.</param>
    /// <param name="largest">The largest atom (v_max), finite and above the least.</param>
    /// <param name="count">The number of atoms, at least 2.</param>
    /// <exception cref="ArgumentException">The numbers make no support.</exception>
    public ReturnSupport(double least, double largest, int count) => Core = new(least, largest, count);

    internal Support Core { get; }

    /// <summary>The least atom.</summary>
    public double Least => Core.Least;

    /// <summary>The largest atom.</summary>
    public double Largest => Core.Largest;

    /// <summary>The number of atoms.</summary>
    public int Count => Core.Count;

    /// <summary>The distance between neighbouring atoms.</summary>
    public double Gap => Core.Gap;

    /// <summary>All atoms, in increasing order.</summary>
    public IReadOnlyList<double> Atoms => Array.AsReadOnly(Core.Atoms);

    /// <summary>51 atoms in [-10, 10].</summary>
    public override string ToString() => Core.ToString();
}
