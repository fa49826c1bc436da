using TorchSharp;

namespace ValueFlow;

/// <summary>Plain rows as tensors of float64, and back: checked before anything native runs.</summary>
internal static class Rows
{
    /// <summary>The rows as a tensor (count, width) that the scope in force owns.</summary>
    public static torch.Tensor ToTensor(string name, IReadOnlyList<double[]> rows, int width) => Tensor(Flat(name, rows, width), rows.Count, width);

    /// <summary>The rows one after the other; every row has the width, and every number is finite.</summary>
    public static double[] Flat(string name, IReadOnlyList<double[]> rows, int width)
    {
        Require(name, rows, width);
        double[] flat = new double[rows.Count * width];
        for (int i = 0; i < rows.Count; i++)
        {
            rows[i].CopyTo(flat, i * width);
        }

        return flat;
    }

    /// <summary>Throws unless there is a row, every row has the width, and every number is finite.</summary>
    public static void Require(string name, IReadOnlyList<double[]> rows, int width)
    {
        ArgumentNullException.ThrowIfNull(rows, name);
        if (rows.Count == 0)
        {
            throw new ArgumentException("must have at least one row but has none", name);
        }

        for (int i = 0; i < rows.Count; i++)
        {
            double[] row = rows[i] ?? throw new ArgumentException($"row {i} must be an array but is null", name);
            if (row.Length != width)
            {
                throw new ArgumentException($"row {i} must have {width} numbers but has {row.Length}", name);
            }

            int bad = Array.FindIndex(row, value => !double.IsFinite(value));
            if (bad >= 0)
            {
                throw new ArgumentException($"row {i}, column {bad} must be finite but is {row[bad]}", name);
            }
        }
    }

    public static double[][] FromTensor(torch.Tensor tensor)
    {
        int count = (int)tensor.shape[0];
        int width = (int)tensor.shape[1];
        using var plain = tensor.contiguous();
        double[] flat = plain.data<double>().ToArray();
        double[][] rows = new double[count][];
        for (int i = 0; i < count; i++)
        {
            rows[i] = flat[(i * width)..((i + 1) * width)];
        }

        return rows;
    }

    public static double[][] FromArray(string name, double[,] values)
    {
        ArgumentNullException.ThrowIfNull(values, name);
        double[][] rows = new double[values.GetLength(0)][];
        for (int i = 0; i < rows.Length; i++)
        {
            rows[i] = new double[values.GetLength(1)];
            Buffer.BlockCopy(values, i * values.GetLength(1) * sizeof(double), rows[i], 0, values.GetLength(1) * sizeof(double));
        }

        return rows;
    }

    /// <summary>Numbers as a tensor (count, width); what a function of the caller's returned may hold numbers that are not finite.</summary>
    public static torch.Tensor Tensor(double[] flat, int count, int width)
    {
        using var line = torch.tensor(flat);
        return line.reshape(count, width);
    }
}
